"""Login, also at an OpenID Connect provider, the own account, and personal tokens (tag auth; api-behaviour 2.2)."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.auth_setup import CALLBACK, AuthServices
from dagbook.accounts.logins import WRONG_LOGIN, WRONG_PASSWORD
from dagbook.accounts.oidc import Oidc
from dagbook.accounts.tokens import TokenRequest
from dagbook.accounts.users import MAX_NAME_LENGTH
from dagbook.api.auth.guards import NO_USERS
from dagbook.api.auth.oidc_flow import finish, start
from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.people import instant_text, token_body, user_body
from dagbook.api.providers import provide_services
from dagbook.api.requests import ApiRequest
from dagbook.api.schemas.people import (
    ChangePasswordRequest,
    CreatedToken,
    CreateTokenRequest,
    LoginRequest,
    LoginResponse,
    SuccessResponse,
    Tokens,
    UserResponse,
)
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.passwords import MAX_BYTES
from dagbook.auth.roles import Requires
from dagbook.errors import BadRequestError, NotFoundError, UnauthorizedError


class AccountServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of logins and personal tokens."""

    auth: AuthServices


class AuthController(Controller):
    path = "/auth"
    request_max_body_size = 8192  # bytes; strangers reach it, and name and passwords need a few hundred
    dependencies = provide_services(AccountServices)

    @post(
        "/login",
        operation_id="login",
        status_code=200,
        requires=Requires.PUBLIC,
        audits=Action.LOGIN_SUCCESS,
        responses=errors(429),
    )
    async def login(
        self, data: JSONBody[LoginRequest], services: NamedDependency[AccountServices], caller: NamedDependency[Caller]
    ) -> LoginResponse:
        """Exchange username and password for a token."""
        if not services.auth.has_users:
            raise UnauthorizedError(NO_USERS)
        if len(data.username) > MAX_NAME_LENGTH or len(data.password.encode()) > MAX_BYTES:
            # No user has them. Refused here, they are neither counted nor logged nor audited.
            raise UnauthorizedError(WRONG_LOGIN)
        found = await services.auth.logins.login(data.username, data.password, caller.address)
        return LoginResponse(token=found.token, expires_at=instant_text(found.expires_at), user=user_body(found.user))

    @get("/me", operation_id="getCurrentUser", requires=Requires.OWN, responses=errors())
    async def get_me(self, services: NamedDependency[AccountServices], caller: NamedDependency[Caller]) -> UserResponse:
        """Return the calling user, with the effective role of this credential."""
        row = await services.auth.logins.require_user(caller)
        return UserResponse(user=user_body(msgspec.structs.replace(row, role=caller.role)))

    @post(
        "/change-password",
        operation_id="changePassword",
        status_code=200,
        requires=Requires.OWN,
        audits=Action.USER_PASSWORD_CHANGE,
        responses=errors(429),
    )
    async def change_password(
        self,
        data: JSONBody[ChangePasswordRequest],
        services: NamedDependency[AccountServices],
        caller: NamedDependency[Caller],
    ) -> SuccessResponse:
        """Set the caller's password; all other tokens of the user become invalid."""
        if len(data.current_password.encode()) > MAX_BYTES:
            raise UnauthorizedError(WRONG_PASSWORD)
        await services.auth.logins.change_password(caller, data.current_password, data.new_password)
        return SuccessResponse(message="the password is changed, and all other tokens are void")


class TokensController(Controller):
    path = "/tokens"
    dependencies = provide_services(AccountServices)

    @get(operation_id="listTokens", requires=Requires.OWN, responses=errors())
    async def list_tokens(
        self,
        services: NamedDependency[AccountServices],
        caller: NamedDependency[Caller],
        all_users: parameters.AllUsers = False,
    ) -> Tokens:
        """List the caller's personal tokens, also revoked ones; with ``all``, for admins, those of all users."""
        rows = await services.auth.tokens.find(caller, all_users=all_users)
        return Tokens(tokens=[token_body(row) for row in rows])

    @post(
        operation_id="createToken",
        status_code=201,
        requires=Requires.OWN,
        audits=Action.TOKEN_CREATE,
        responses=errors(404, 409),
    )
    async def create_token(
        self,
        data: JSONBody[CreateTokenRequest],
        services: NamedDependency[AccountServices],
        caller: NamedDependency[Caller],
    ) -> CreatedToken:
        """Create a personal token; admins may create one for another user."""
        if data.expires_at is not None and data.expires_at.tzinfo is None:
            raise BadRequestError("expiresAt: has no time zone; write one such as 2030-01-31T12:00:00Z")
        request = TokenRequest(name=data.name, role=data.role, expires_at=data.expires_at, username=data.username)
        token, row = await services.auth.tokens.create(request, caller)
        return CreatedToken(token=token, details=token_body(row))

    @delete(
        "/{tokenId:str}",
        operation_id="revokeToken",
        status_code=204,
        requires=Requires.OWN,
        audits=Action.TOKEN_DELETE,
        responses=errors(404),
    )
    async def revoke_token(
        self, token_id: parameters.TokenId, services: NamedDependency[AccountServices], caller: NamedDependency[Caller]
    ) -> None:
        """Revoke a personal token; admins may revoke those of all users."""
        await services.auth.tokens.revoke(token_id, caller)


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
