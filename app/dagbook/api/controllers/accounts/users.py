"""User management for admins (tag users)."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.users import UserChanges
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.people import user_body
from dagbook.api.routes import delete, get, patch, permission, post, put
from dagbook.api.schemas.people import (
    CreateUserRequest,
    ResetPasswordRequest,
    SuccessResponse,
    UpdateUserRequest,
    UserResponse,
    UsersListResponse,
)
from dagbook.api.services import AccountServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories.accounts import users
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten

Services = NamedDependency[AccountServices]


class UsersController(Controller):
    path = "/users"
    opt = permission(Requires.ADMIN)
    dependencies = provide_services(AccountServices)

    @get("", "listUsers")
    async def list_users(self, services: Services) -> UsersListResponse:
        """List all users, oldest first."""
        rows = await services.database.read(users.find)
        return UsersListResponse(users=[user_body(row) for row in rows])

    @post("", "createUser", Requires.ADMIN, Action.USER_CREATE, 409, status_code=201, fresh=True)
    async def create_user(
        self, data: JSONBody[CreateUserRequest], services: Services, caller: CurrentCaller
    ) -> UserResponse:
        """Create a user."""
        row = await services.auth.users.create(data.username, data.password, data.role, caller, data.scope)
        return UserResponse(user=user_body(row))

    @get("/{userId:str}", "getUser", 404)
    async def get_user(self, user_id: parameters.UserId, services: Services) -> UserResponse:
        """Return a user."""
        row = await services.database.read_inline(lambda connection: users.get(connection, user_id))
        if row is None:
            raise NotFoundError(f"there is no user with the id {shorten(user_id)}")
        return UserResponse(user=user_body(row))

    @patch("/{userId:str}", "updateUser", Requires.ADMIN, Action.USER_UPDATE, 404, 409, fresh=True)
    async def update_user(
        self, user_id: parameters.UserId, data: JSONBody[UpdateUserRequest], services: Services, caller: CurrentCaller
    ) -> UserResponse:
        """Change the name, role or scope of a user, or disable or enable it."""
        changes = UserChanges(username=data.username, role=data.role, disabled=data.disabled, scope=data.scope)
        row = await services.auth.users.update(user_id, changes, caller)
        return UserResponse(user=user_body(row))

    @delete("/{userId:str}", "deleteUser", Requires.ADMIN, Action.USER_DELETE, 404, fresh=True)
    async def delete_user(self, user_id: parameters.UserId, services: Services, caller: CurrentCaller) -> None:
        """Delete a user with all its tokens."""
        await services.auth.users.remove(user_id, caller)

    @post(
        "/{userId:str}/reset-password", "resetUserPassword", Requires.ADMIN, Action.USER_PASSWORD_RESET, 404, fresh=True
    )
    async def reset_password(
        self,
        user_id: parameters.UserId,
        data: JSONBody[ResetPasswordRequest],
        services: Services,
        caller: CurrentCaller,
    ) -> SuccessResponse:
        """Set a user's password; all its tokens become invalid."""
        await services.auth.users.reset_password(user_id, data.new_password, caller)
        return SuccessResponse(message="the password is reset, and all tokens of the user are void")

    # The reference implementation's web UI calls them, although no API document has them (api-behaviour 3.1, op 10).
    put_user = put("/{userId:str}", "", Requires.ADMIN, Action.USER_UPDATE, fresh=True)(update_user.fn)
    put_password = put("/{userId:str}/password", "", Requires.ADMIN, Action.USER_PASSWORD_RESET, fresh=True)(
        reset_password.fn
    )
