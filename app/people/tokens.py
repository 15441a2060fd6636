"""Use cases of personal API tokens: make, list, revoke, and who sends one (extension of the contract)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec

from app.auth.audit_context import Action, AuditAction
from app.auth.caller import Caller
from app.auth.roles import Role, lower_role
from app.auth.tokens import hash_of, make_personal
from app.clock import Clock
from app.db.database import Database, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import audit, tokens, users
from app.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError, UnauthorizedError
from app.names import shorten

Row = Mapping[str, Any]

LONGEST_NAME = 64
_NOTED_EVERY = timedelta(minutes=1)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A token that somebody wants: without a role the user's own, without a user the caller's."""

    name: str
    role: Role | None = None
    expires_at: datetime | None = None
    username: str | None = None


class PersonalTokens:
    """What people can do to tokens for their programs."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def identify(self, token: str, address: str) -> Caller | None:
        """Return whom a token speaks for, as long as it counts."""
        hashed = hash_of(token)
        row = await self._database.glance(lambda connection: tokens.get_by_hash(connection, hashed))
        now = self._now()
        if row is None or row["revoked_at"] is not None or (row["expires_at"] is not None and now >= row["expires_at"]):
            return None
        if row["last_used_at"] is None or now - row["last_used_at"] > _NOTED_EVERY:
            with contextlib.suppress(DatabaseUnavailable):  # reading must not fail because a note cannot be written
                await self._database.write(lambda connection: tokens.note_use(connection, row["id"], now))
        return Caller(
            via="personal",
            name=row["username"],
            role=lower_role(Role(row["role"]), Role(row["user_role"])),
            user_id=row["user_id"],
            token_id=row["id"],
            token_name=row["name"],
            credential=hashed,
            address=address,
        )

    async def find(self, caller: Caller, *, everybody: bool) -> Sequence[Row]:
        """Return the caller's tokens, or everybody's; raises ForbiddenError when it is no admin who wants those."""
        if everybody and caller.role is not Role.ADMIN:
            raise ForbiddenError("only admins see everybody's tokens")
        return await self._database.glance(
            lambda connection: tokens.find(connection, None if everybody else caller.user_id or "")
        )

    async def create(self, wish: Wish, caller: Caller) -> tuple[str, Row]:
        """Make a token and return it, which is not possible again, with its row.

        Raises BadRequestError, ForbiddenError, NotFoundError, AlreadyExistsError.
        """
        _check(wish, self._now())
        if caller.via == "personal":
            raise ForbiddenError("a token cannot make tokens; log in with name and password")
        token = make_personal()

        def work(connection: WriteConnection) -> Row:
            users.take_turn(connection)
            user = _user_for(connection, wish, caller)
            if tokens.has_live(connection, user["id"], wish.name):
                raise AlreadyExistsError(
                    f"{user['username']!r} has a token named {shorten(wish.name)}; revoke it first"
                )
            row = self._row(token, wish, user)
            tokens.add(connection, row)
            audit_action = _audit_action(Action.TOKEN_CREATE, user["username"], row)
            audit.add(connection, caller.origin.entry(audit_action, row["created_at"]))
            return {**row, "username": user["username"], "user_role": user["role"]}

        return token, await self._database.write(work)

    def _row(self, token: str, wish: Wish, user: Row) -> dict[str, Any]:
        role = wish.role or Role(user["role"])
        if lower_role(role, Role(user["role"])) is not role:
            raise ForbiddenError(f"role: a token of {user['username']!r}, {user['role']}, cannot be {role}")
        return {
            "id": str(uuid4()),
            "user_id": user["id"],
            "name": wish.name,
            "hash": hash_of(token),
            "role": str(role),
            "created_at": self._now(),
            "expires_at": wish.expires_at,
            "revoked_at": None,
            "last_used_at": None,
        }

    async def revoke(self, token_id: str, caller: Caller) -> None:
        """Let a token not count any more; raises NotFoundError, also for the tokens of others unless an admin asks."""

        def work(connection: WriteConnection) -> None:
            row = tokens.get(connection, token_id)
            if row is None or (caller.role is not Role.ADMIN and row["user_id"] != caller.user_id):
                raise NotFoundError(f"you have no token with the id {shorten(token_id)}")
            at = max(self._now(), row["created_at"])
            if tokens.revoke(connection, token_id, at):
                audit.add(connection, caller.origin.entry(_audit_action(Action.TOKEN_DELETE, row["username"], row), at))

        await self._database.write(work)


def _audit_action(action: Action, username: str, row: Row) -> AuditAction:
    """Say what was done to a token: never which one it is, only how it is called."""
    until = row["expires_at"].isoformat() if row["expires_at"] else None
    about = {"id": row["id"], "role": row["role"], "expiresAt": until}
    was, now = (None, about) if action is Action.TOKEN_CREATE else (about, None)
    return AuditAction(action=action, kind="token", name=f"{username}/{row['name']}", before=was, after=now)


def _check(wish: Wish, now: datetime) -> None:
    if not wish.name.strip() or len(wish.name) > LONGEST_NAME or "\0" in wish.name:
        raise BadRequestError(
            f"name: {shorten(wish.name)} is no name; use 1 to {LONGEST_NAME} characters, not only spaces"
        )
    if wish.expires_at is not None and wish.expires_at <= now:
        raise BadRequestError("expiresAt: has passed already; give a time to come, or leave it out")


def _user_for(connection: WriteConnection, wish: Wish, caller: Caller) -> Row:
    if wish.username is None and caller.user_id is None:
        raise BadRequestError(
            "username: is missing; this credential belongs to no user, so say whose token it is to be"
        )
    if wish.username is not None and wish.username != caller.name and caller.role is not Role.ADMIN:
        raise ForbiddenError("username: only admins make tokens for others")
    user = (
        users.get_by_name(connection, wish.username)
        if wish.username is not None
        else users.get(connection, caller.user_id or "")
    )
    if user is None and wish.username is not None:
        raise NotFoundError(f"there is no user named {shorten(wish.username)}")
    if user is None:
        raise UnauthorizedError("this user was removed")
    return user
