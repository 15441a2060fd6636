"""Use cases of users: first admin, create, update, delete, reset a password (api-behaviour 2.3, 3.1)."""

from __future__ import annotations

import logging
from uuid import uuid4

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import Action, Actor, Caller, local_actor, user_action
from dagbook.auth.passwords import Hasher, generate, validation_error
from dagbook.auth.roles import Role, UserScope
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import dag_access, groups, sessions, tokens, users
from dagbook.db.repositories.accounts.sessions import SessionEnd
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from dagbook.identifiers import shorten

MAX_NAME_LENGTH = 64
_log = logging.getLogger(__name__)


class UserChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a user; None changes nothing."""

    username: str | None = None
    role: Role | None = None
    disabled: bool | None = None
    scope: UserScope | None = None


class Users:
    """Use cases of admins. The caller has already been checked to be one."""

    def __init__(self, database: Database, hasher: Hasher, now: Clock) -> None:
        self._database = database
        self._hasher = hasher
        self._now = now

    async def count(self) -> int:
        """Count all users."""
        return await self._database.read_inline(users.count)

    async def create_first_admin(self, username: str, password: str) -> str | None:
        """Create an admin if there are no users; return the password if it was generated.

        Raises BadRequestError if the given name or password is invalid.
        """
        if await self._database.read_inline(users.count):
            return None
        check_name(username, "auth_admin_username")
        chosen = check_password(password, "auth_admin_password") if password else generate()
        row = await self._new(username, chosen, Role.ADMIN)
        entry = _created_entry(row, local_actor())

        def work(connection: WriteConnection) -> bool:
            users.lock(connection)
            if users.count(connection):
                return False  # another server was first
            users.add(connection, row)
            audit.add(connection, entry)
            return True

        created = await self._database.write(work)
        return chosen if created and not password else None

    async def create(
        self, username: str, password: str, role: Role, caller: Caller, scope: UserScope = UserScope.ALL
    ) -> UserRow:
        """Create a user; raises BadRequestError or AlreadyExistsError."""
        check_password(password)
        check_name(username)
        row = msgspec.structs.replace(await self._new(username, password, role), scope=str(scope))
        entry = _created_entry(row, caller.actor)

        def work(connection: WriteConnection) -> None:
            users.lock(connection)
            _refuse_taken(connection, username)
            users.add(connection, row)
            audit.add(connection, entry)

        await self._database.write(work)
        _log.info("user %r, %s, was created by %r", username, role, caller.actor_label)
        return row

    async def _new(self, username: str, password: str, role: Role) -> UserRow:
        hashed = await self._hasher.hash(password)
        now = self._now()
        return UserRow(
            id=str(uuid4()),
            username=username,
            role=str(role),
            password_hash=hashed,
            generation=1,
            created_at=now,
            updated_at=now,
        )

    async def update(self, user_id: str, changes: UserChanges, caller: Caller) -> UserRow:
        """Change a user's name, role or scope, or disable it, which ends its sessions and suspends its tokens.

        Raises BadRequestError, NotFoundError, ForbiddenError for the last admin or oneself, AlreadyExistsError.
        """
        username, role = changes.username, changes.role
        if username is not None:
            check_name(username)
        if changes.disabled and user_id == caller.user_id:
            raise ForbiddenError("you cannot disable yourself; another admin can")

        def work(connection: WriteConnection) -> UserRow:
            users.lock(connection)
            user = _require(connection, user_id)
            loses_scope = changes.scope is UserScope.GRANTED
            _require_other_admin(connection, user, role, removed=changes.disabled is True or loses_scope)
            if username is not None and username != user.username:
                _refuse_taken(connection, username)
            at = max(self._now(), user.updated_at)
            disabled = user.disabled_at is not None if changes.disabled is None else changes.disabled
            changed = msgspec.structs.replace(
                user,
                username=username or user.username,
                role=str(role or user.role),
                scope=str(changes.scope or user.scope),
                disabled_at=(user.disabled_at or at) if disabled else None,
                updated_at=at,
            )
            names = ("username", "role", "scope", "disabled_at", "updated_at")
            users.change(connection, user_id, **{name: getattr(changed, name) for name in names})
            if changes.disabled:
                sessions.end_of_user(connection, user_id, at, SessionEnd.USER_DISABLED)
            was, now = (_described(one, "username", "role") for one in (user, changed))
            audit_action = user_action(Action.USER_UPDATE, user.username, was, now)
            if was != now:
                audit.add(connection, caller.actor.entry(audit_action, changed.updated_at))
            return changed

        changed = await self._database.write(work)
        _log.info("user %r, %s, was changed by %r", changed.username, changed.role, caller.actor_label)
        return changed

    async def remove(self, user_id: str, caller: Caller) -> None:
        """Delete a user with all its tokens; raises ForbiddenError or NotFoundError."""
        if user_id == caller.user_id:
            raise ForbiddenError("you cannot remove yourself; another admin can")

        def work(connection: WriteConnection) -> str:
            users.lock(connection)
            dag_access.lock(connection)
            user = _require(connection, user_id)
            _require_other_admin(connection, user, None, removed=True)
            groups.remove_access_of_user(connection, user_id)
            users.remove(connection, user_id)
            audit_action = user_action(Action.USER_DELETE, user.username, {"id": user_id, "role": user.role})
            audit.add(connection, caller.actor.entry(audit_action, self._now()))
            return str(user.username)

        _log.info("user %r was removed by %r", await self._database.write(work), caller.actor_label)

    async def reset_password(self, user_id: str, password: str, caller: Caller) -> None:
        """Set a user's password, ending all its sessions and tokens; raises NotFoundError or BadRequestError."""
        if await self._database.read_inline(lambda connection: users.get(connection, user_id)) is None:
            raise _unknown(user_id)
        check_password(password, "newPassword")
        hashed = await self._hasher.hash(password)

        def work(connection: WriteConnection) -> str:
            users.lock(connection)
            user = _require(connection, user_id)
            at = max(self._now(), user.updated_at)
            users.set_password(connection, user_id, hashed, at)
            sessions.end_of_user(connection, user_id, at, SessionEnd.PASSWORD_CHANGED)
            tokens.revoke_all(connection, user_id, at)
            audit.add(connection, caller.actor.entry(user_action(Action.USER_PASSWORD_RESET, user.username), at))
            return str(user.username)

        _log.info("the password of user %r was reset by %r", await self._database.write(work), caller.actor_label)


def check_name(username: str, field: str = "username") -> str:
    """Return a valid user name, which looks like no other one; raises BadRequestError."""
    if not is_user_name(username):
        raise BadRequestError(
            f"{field}: {shorten(username)} is not a user name; use 1 to {MAX_NAME_LENGTH} characters that print, "
            "without blanks around them"
        )
    return username


def is_user_name(text: str) -> bool:
    """Whether a new user may have this name."""
    return 0 < len(text) <= MAX_NAME_LENGTH and text.isprintable() and text == text.strip()


def check_password(password: str, field: str = "password") -> str:
    """Return a valid new password; raises BadRequestError, which does not repeat it."""
    if wrong := validation_error(password):
        raise BadRequestError(f"{field}: {wrong}")
    return password


def _described(user: UserRow, *names: str) -> dict[str, object]:
    """Return values of a user for the audit, and those that are not what most users have."""
    described: dict[str, object] = {name: getattr(user, name) for name in names}
    described |= {"disabled": True} if user.disabled_at else {}
    return described if user.scope == UserScope.ALL else described | {"scope": user.scope}


def _require(connection: WriteConnection, user_id: str) -> UserRow:
    user = users.get(connection, user_id)
    if user is None:
        raise _unknown(user_id)
    return user


def _unknown(user_id: str) -> NotFoundError:
    return NotFoundError(f"there is no user with the id {shorten(user_id)}")


def _require_other_admin(
    connection: WriteConnection, user: UserRow, role: Role | None, *, removed: bool = False
) -> None:
    is_admin = user.role == Role.ADMIN and user.disabled_at is None and user.scope == UserScope.ALL
    loses = is_admin and (removed or role not in (None, Role.ADMIN))
    if loses and users.count(connection, Role.ADMIN) == 1:
        raise ForbiddenError(f"{user.username!r} is the last admin; make another user an admin first")


def _refuse_taken(connection: WriteConnection, username: str) -> None:
    if users.get_by_name(connection, username) is not None:
        raise AlreadyExistsError(f"a user named {shorten(username)} exists already")


def _created_entry(row: UserRow, actor: Actor) -> NewAuditEntry:
    audit_action = user_action(Action.USER_CREATE, row.username, after=_described(row, "id", "role"))
    return actor.entry(audit_action, row.created_at)
