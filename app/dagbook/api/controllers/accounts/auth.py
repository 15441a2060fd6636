"""Login, also at an OpenID Connect provider, and the own account (tag auth; api-behaviour 2.2)."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.auth_setup import CALLBACK
from dagbook.accounts.authentication import Credentials
from dagbook.accounts.logins import WRONG_LOGIN, WRONG_PASSWORD
from dagbook.accounts.oidc import Oidc
from dagbook.accounts.sessions import Login, Origin
from dagbook.accounts.users import MAX_NAME_LENGTH
from dagbook.api.auth import browser_session, session_cookie
from dagbook.api.auth.guards import NO_USERS, credentials_of
from dagbook.api.auth.oidc_flow import CLEARED, finish, make_cookie, redirect_back, start
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.fields import instant_text
from dagbook.api.presenters.people import user_body
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.people import (
    BrowserSession,
    ChangePasswordRequest,
    LoginRequest,
    LoginResponse,
    StartSessionRequest,
    SuccessResponse,
    UserResponse,
)
from dagbook.api.services import AccountServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.passwords import MAX_BYTES
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError, NotFoundError, UnauthorizedError

Services = NamedDependency[AccountServices]
_LOGIN = "/oidc-login"


async def _log_in(services: AccountServices, username: str, password: str, origin: Origin) -> Login:
    if not services.auth.has_users:
        raise UnauthorizedError(NO_USERS)
    if len(username) > MAX_NAME_LENGTH or len(password.encode()) > MAX_BYTES:
        # No user has them. Refused here, they are neither counted nor logged nor audited.
        raise UnauthorizedError(WRONG_LOGIN)
    return await services.auth.logins.login(username, password, origin)


async def _exchange_token(
    request: ApiRequest, token: str, services: AccountServices, caller: Caller
) -> Response[BrowserSession]:
    """Give a browser a cookie for the token of the settings; a wrong one counts like one in a header."""
    given = Credentials(authorization=f"Bearer {token}", address=caller.address)
    services.auth.credential_throttle.check(given)
    static = services.auth.static_token
    if static is None or not static.is_token(token.encode("utf-8", "surrogatepass")):
        services.auth.credential_throttle.fail(given)
        raise UnauthorizedError("the token is wrong; it is the one of the setting auth_token")
    expires_at = services.auth.sessions.expiry()
    cookie, proof = static.make_cookie(expires_at)
    await services.auth.logins.record_login(Caller(via="token", name="api-token", address=caller.address))
    body = BrowserSession(csrf_token=proof, expires_at=instant_text(expires_at))
    return Response(body, cookies=[session_cookie.make(request, cookie, expires_at)])


def _agent(request: ApiRequest) -> str:
    return request.headers.get("user-agent", "")


class AuthController(Controller):
    path = "/auth"
    request_max_body_size = 8192  # bytes; strangers reach it, and name and passwords need a few hundred
    opt = permission(Requires.READ)
    dependencies = provide_services(AccountServices)

    @post("/login", "login", Requires.PUBLIC, Action.LOGIN_SUCCESS, 429)
    async def login(
        self, request: ApiRequest, data: JSONBody[LoginRequest], services: Services, caller: CurrentCaller
    ) -> LoginResponse:
        """Exchange username and password for a token."""
        origin = Origin(address=caller.address, agent=_agent(request))
        found = await _log_in(services, data.username, data.password, origin)
        return LoginResponse(token=found.token, expires_at=instant_text(found.expires_at), user=user_body(found.user))

    @post("/session", "startSession", Requires.PUBLIC, Action.LOGIN_SUCCESS, 429, status_code=201)
    async def start_session(
        self, request: ApiRequest, data: JSONBody[StartSessionRequest], services: Services, caller: CurrentCaller
    ) -> Response[BrowserSession]:
        """Log a browser in with username and password, or the token of the settings.

        The session is in a cookie that no script can read. One that the browser had before ends.
        """
        if not data.username and not data.token:
            raise BadRequestError("username: is missing; give username and password, or the token of the settings")
        if services.auth.static_token is not None:
            return await _exchange_token(request, data.token, services, caller)
        before = credentials_of(request).session_cookie
        origin = Origin(address=caller.address, agent=_agent(request), is_browser=True, before=before)
        found = await _log_in(services, data.username, data.password, origin)
        body = BrowserSession(
            csrf_token=found.proof or "",
            expires_at=instant_text(found.expires_at),
            user=user_body(found.user),
            may_create=await services.auth.access.may_create(found.user),
        )
        return Response(body, cookies=[session_cookie.make(request, found.token, found.expires_at)])

    @get("/session", "getSession", 404, narrowed=True)
    async def get_session(self, services: Services, caller: CurrentCaller) -> BrowserSession:
        """Return the session of the browser that asks, with the token that its changes need."""
        session = await browser_session.describe(services.auth, caller)
        if session is None:
            raise NotFoundError("this request has no cookie of a session")
        return session

    @post("/logout", "logout", Requires.READ, Action.LOGOUT, narrowed=True)
    async def log_out(
        self, request: ApiRequest, services: Services, caller: CurrentCaller
    ) -> Response[SuccessResponse]:
        """End the session that asks: its token or cookie is invalid from then on, others stay."""
        await services.auth.sessions.log_out(caller)
        headers = {"Set-Cookie": CLEARED} if caller.via == "oidc" else {}
        cookies = [session_cookie.make(request, "", None)] if caller.proof else []
        return Response(SuccessResponse(message="the session has ended"), headers=headers, cookies=cookies)

    @get("/me", "getCurrentUser", requires=Requires.OWN, identifies=True)
    async def get_me(self, services: Services, caller: CurrentCaller) -> UserResponse:
        """Return the calling user, with the effective role of this credential."""
        row = await services.auth.logins.require_user(caller)
        return UserResponse(user=user_body(msgspec.structs.replace(row, role=caller.role)))

    @post("/change-password", "changePassword", Requires.OWN, Action.USER_PASSWORD_CHANGE, 429)
    async def change_password(
        self, data: JSONBody[ChangePasswordRequest], services: Services, caller: CurrentCaller
    ) -> SuccessResponse:
        """Set the caller's password; its other sessions end, and its other tokens become invalid."""
        if len(data.current_password.encode()) > MAX_BYTES:
            raise UnauthorizedError(WRONG_PASSWORD)
        await services.auth.logins.change_password(caller, data.current_password, data.new_password)
        return SuccessResponse(message="the password is changed, and all other tokens are void")


def _require_oidc(services: AccountServices) -> Oidc:
    if services.auth.oidc is None:
        raise NotFoundError("there is no login at a provider here; auth_oidc_issuer is not set")
    return services.auth.oidc


class OidcController(Controller):
    opt = permission(Requires.PUBLIC)
    dependencies = provide_services(AccountServices)

    @get(_LOGIN)
    async def log_in(
        self, request: ApiRequest, services: Services, original_url: parameters.OriginalUrl = ""
    ) -> Response[None]:
        """Redirect the browser to the provider; after the login it returns to ``originalURL``, or to the front page."""
        front_page = request.url.path.removesuffix(_LOGIN) or "/"
        return start(request, _require_oidc(services), original_url or front_page)

    @get(CALLBACK, audits=Action.LOGIN_SUCCESS)
    async def callback(
        self,
        request: ApiRequest,
        services: Services,
        code: parameters.Code = "",
        login_state: parameters.LoginState = "",
    ) -> Response[None]:
        """Complete the login of a browser that returns from the provider, and redirect it to the requested page."""
        oidc = _require_oidc(services)
        account, page = await finish(request, oidc, code, login_state)
        address = request.user.address
        if not services.auth.has_users:
            caller = await oidc.identify(account.token, address)
            await services.auth.logins.record_login(caller or Caller(via="oidc", address=address))
            return redirect_back(request, oidc, page, make_cookie(request, oidc, account))
        origin = Origin(address=address, agent=_agent(request), is_browser=True)
        login = await services.auth.provider_accounts.log_in(account, oidc.issuer, origin)
        # The login page, which takes the session over, since the page itself may be one of before.
        login_page = f"{request.url.path.removesuffix(CALLBACK)}/login?{urlencode({'session': 'new', 'next': page})}"
        return redirect_back(request, oidc, login_page, session_cookie.make(request, login.token, login.expires_at))
