"""User management for admins (tag users)."""

from __future__ import annotations

import msgspec
from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.accounts.auth_setup import AuthServices
from dagbook.accounts.users import UserChanges
from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.people import user_body
from dagbook.api.providers import provide_services
from dagbook.api.schemas.people import (
    CreateUserRequest,
    ResetPasswordRequest,
    SuccessResponse,
    UpdateUserRequest,
    UserResponse,
    UsersListResponse,
)
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.db.repositories import users
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten


class UserServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of user management."""

    database: Database
    auth: AuthServices


async def _update(user_id: str, data: UpdateUserRequest, services: UserServices, caller: Caller) -> UserResponse:
    changes = UserChanges(username=data.username, role=data.role, disabled=data.disabled, scope=data.scope)
    row = await services.auth.users.update(user_id, changes, caller)
    return UserResponse(user=user_body(row))


async def _reset(user_id: str, data: ResetPasswordRequest, services: UserServices, caller: Caller) -> SuccessResponse:
    await services.auth.users.reset_password(user_id, data.new_password, caller)
    return SuccessResponse(message="the password is reset, and all tokens of the user are void")


# Routes that the reference implementation's web UI calls, although no API document has them (api-behaviour 3.1, op 10).


class UsersController(Controller):
    path = "/users"
    dependencies = provide_services(UserServices)

    @get(operation_id="listUsers", requires=Requires.ADMIN, responses=errors())
    async def list_users(self, services: NamedDependency[UserServices]) -> UsersListResponse:
        """List all users, oldest first."""
        rows = await services.database.read(users.find)
        return UsersListResponse(users=[user_body(row) for row in rows])

    @post(
        operation_id="createUser",
        status_code=201,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.USER_CREATE,
        responses=errors(409),
    )
    async def create_user(
        self,
        data: JSONBody[CreateUserRequest],
        services: NamedDependency[UserServices],
        caller: NamedDependency[Caller],
    ) -> UserResponse:
        """Create a user."""
        row = await services.auth.users.create(data.username, data.password, data.role, caller, data.scope)
        return UserResponse(user=user_body(row))

    @get("/{userId:str}", operation_id="getUser", requires=Requires.ADMIN, responses=errors(404))
    async def get_user(self, user_id: parameters.UserId, services: NamedDependency[UserServices]) -> UserResponse:
        """Return a user."""
        row = await services.database.read_inline(lambda connection: users.get(connection, user_id))
        if row is None:
            raise NotFoundError(f"there is no user with the id {shorten(user_id)}")
        return UserResponse(user=user_body(row))

    @patch(
        "/{userId:str}",
        operation_id="updateUser",
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.USER_UPDATE,
        responses=errors(404, 409),
    )
    async def update_user(
        self,
        user_id: parameters.UserId,
        data: JSONBody[UpdateUserRequest],
        services: NamedDependency[UserServices],
        caller: NamedDependency[Caller],
    ) -> UserResponse:
        """Change the name, role or scope of a user, or disable or enable it."""
        return await _update(user_id, data, services, caller)

    @delete(
        "/{userId:str}",
        operation_id="deleteUser",
        status_code=204,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.USER_DELETE,
        responses=errors(404),
    )
    async def delete_user(
        self, user_id: parameters.UserId, services: NamedDependency[UserServices], caller: NamedDependency[Caller]
    ) -> None:
        """Delete a user with all its tokens."""
        await services.auth.users.remove(user_id, caller)

    @post(
        "/{userId:str}/reset-password",
        operation_id="resetUserPassword",
        status_code=200,
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.USER_PASSWORD_RESET,
        responses=errors(404),
    )
    async def reset_password(
        self,
        user_id: parameters.UserId,
        data: JSONBody[ResetPasswordRequest],
        services: NamedDependency[UserServices],
        caller: NamedDependency[Caller],
    ) -> SuccessResponse:
        """Set a user's password; all its tokens become invalid."""
        return await _reset(user_id, data, services, caller)

    @put("/{userId:str}", requires=Requires.ADMIN, fresh=True, audits=Action.USER_UPDATE, include_in_schema=False)
    async def put_user(
        self,
        user_id: parameters.UserId,
        data: JSONBody[UpdateUserRequest],
        services: NamedDependency[UserServices],
        caller: NamedDependency[Caller],
    ) -> UserResponse:
        """Update a user, as PATCH does."""
        return await _update(user_id, data, services, caller)

    @put(
        "/{userId:str}/password",
        requires=Requires.ADMIN,
        fresh=True,
        audits=Action.USER_PASSWORD_RESET,
        include_in_schema=False,
    )
    async def put_password(
        self,
        user_id: parameters.UserId,
        data: JSONBody[ResetPasswordRequest],
        services: NamedDependency[UserServices],
        caller: NamedDependency[Caller],
    ) -> SuccessResponse:
        """Set a user's password, as reset-password does."""
        return await _reset(user_id, data, services, caller)
