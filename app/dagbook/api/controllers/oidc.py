"""Logging in at an OpenID Connect provider: pages for browsers, outside the API (api-behaviour 2.2)."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from dagbook.accounts.auth_setup import CALLBACK
from dagbook.accounts.oidc import Oidc
from dagbook.api.auth.oidc_flow import finish, start
from dagbook.api.params import parameters
from dagbook.api.requests import ApiRequest
from dagbook.api.services import AppServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.errors import NotFoundError

_LOGIN = "/oidc-login"


@get(_LOGIN, requires=Requires.PUBLIC)
async def log_in(
    request: ApiRequest, parts: NamedDependency[AppServices], original_url: parameters.OriginalUrl = ""
) -> Response[None]:
    """Send the browser to the provider, and from there where it wants to go, or to the front page."""
    front_page = request.url.path.removesuffix(_LOGIN) or "/"
    return start(request, _require_oidc(parts), original_url or front_page)


@get(CALLBACK, requires=Requires.PUBLIC, audits=Action.LOGIN_SUCCESS)
async def callback(
    request: ApiRequest,
    parts: NamedDependency[AppServices],
    code: parameters.Code = "",
    login_state: parameters.LoginState = "",
) -> Response[None]:
    """Let the browser in that comes from the provider, and send it where it wanted to go."""
    answer, caller = await finish(request, _require_oidc(parts), code, login_state)
    await parts.auth.logins.record_provider_login(caller)
    return answer


def _require_oidc(parts: AppServices) -> Oidc:
    if parts.auth.oidc is None:
        raise NotFoundError("nobody logs in at a provider here; auth_mode is not oidc")
    return parts.auth.oidc


HANDLERS = [log_in, callback]
