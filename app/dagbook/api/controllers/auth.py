"""Login and the caller's own account (tag auth)."""

from __future__ import annotations

import msgspec
from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.auth.guards import NO_USERS
from dagbook.api.openapi_responses import errors
from dagbook.api.presenters.people import instant_text, user_body
from dagbook.api.schemas.people import ChangePasswordRequest, LoginRequest, LoginResponse, SuccessResponse, UserResponse
from dagbook.api.services import AppServices
from dagbook.auth.audit_context import Action
from dagbook.auth.caller import Caller
from dagbook.auth.roles import Requires
from dagbook.errors import UnauthorizedError


class AuthController(Controller):
    path = "/auth"

    @post(
        "/login",
        operation_id="login",
        status_code=200,
        requires=Requires.PUBLIC,
        audits=Action.LOGIN_SUCCESS,
        responses=errors(429),
    )
    async def login(
        self, data: JSONBody[LoginRequest], parts: NamedDependency[AppServices], caller: NamedDependency[Caller]
    ) -> LoginResponse:
        """Exchange username and password for a token."""
        if not parts.auth.has_users:
            raise UnauthorizedError(NO_USERS)
        found = await parts.auth.logins.login(data.username, data.password, caller.address)
        return LoginResponse(token=found.token, expires_at=instant_text(found.expires_at), user=user_body(found.user))

    @get("/me", operation_id="getCurrentUser", requires=Requires.OWN, responses=errors())
    async def get_me(self, parts: NamedDependency[AppServices], caller: NamedDependency[Caller]) -> UserResponse:
        """Return the calling user, with the effective role of this credential."""
        row = await parts.auth.logins.require_user(caller)
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
        parts: NamedDependency[AppServices],
        caller: NamedDependency[Caller],
    ) -> SuccessResponse:
        """Set the caller's password; all other tokens of the user become invalid."""
        await parts.auth.logins.change_password(caller, data.current_password, data.new_password)
        return SuccessResponse(message="the password is changed, and all other tokens are void")
