"""Logging in at an OpenID Connect provider: pages for browsers, outside the API (api-behaviour 2.2)."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from app.api import params
from app.api.browser_login import finish, start
from app.api.deps import AppServices
from app.api.requests import ApiRequest
from app.auth.audit_context import Action
from app.auth.roles import Requires
from app.errors import NotFoundError
from app.people.auth_setup import CALLBACK
from app.people.oidc import Oidc

_LOGIN = "/oidc-login"


@get(_LOGIN, requires=Requires.PUBLIC)
async def log_in(
    request: ApiRequest, parts: NamedDependency[AppServices], original_url: params.OriginalUrl = ""
) -> Response[None]:
    """Send the browser to the provider, and from there where it wants to go, or to the front page."""
    front_page = request.url.path.removesuffix(_LOGIN) or "/"
    return start(request, _require_oidc(parts), original_url or front_page)


@get(CALLBACK, requires=Requires.PUBLIC, audits=Action.LOGIN_SUCCESS)
async def callback(
    request: ApiRequest,
    parts: NamedDependency[AppServices],
    code: params.Code = "",
    login_state: params.LoginState = "",
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
