"""Login at an OpenID Connect provider: routes for browsers, outside the API (api-behaviour 2.2)."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, get
from litestar.di import NamedDependency

from dagbook.accounts.auth_setup import CALLBACK, AuthServices
from dagbook.accounts.oidc import Oidc
from dagbook.api.auth.oidc_flow import finish, start
from dagbook.api.params import parameters
from dagbook.api.providers import provide_services
from dagbook.api.requests import ApiRequest
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.errors import NotFoundError

_LOGIN = "/oidc-login"


class OidcServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of logins at a provider."""

    auth: AuthServices


def _require_oidc(services: OidcServices) -> Oidc:
    if services.auth.oidc is None:
        raise NotFoundError("there is no login at a provider here; auth_mode is not oidc")
    return services.auth.oidc


class OidcController(Controller):
    dependencies = provide_services(OidcServices)

    @get(_LOGIN, requires=Requires.PUBLIC)
    async def log_in(
        self, request: ApiRequest, services: NamedDependency[OidcServices], original_url: parameters.OriginalUrl = ""
    ) -> Response[None]:
        """Redirect the browser to the provider; after the login it returns to ``originalURL``, or to the front page."""
        front_page = request.url.path.removesuffix(_LOGIN) or "/"
        return start(request, _require_oidc(services), original_url or front_page)

    @get(CALLBACK, requires=Requires.PUBLIC, audits=Action.LOGIN_SUCCESS)
    async def callback(
        self,
        request: ApiRequest,
        services: NamedDependency[OidcServices],
        code: parameters.Code = "",
        login_state: parameters.LoginState = "",
    ) -> Response[None]:
        """Complete the login of a browser that returns from the provider, and redirect it to the requested page."""
        response, caller = await finish(request, _require_oidc(services), code, login_state)
        await services.auth.logins.record_provider_login(caller)
        return response
