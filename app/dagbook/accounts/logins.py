"""Use cases of a user: log in, change the own password (api-behaviour 3.1)."""

from __future__ import annotations

import logging

import msgspec

from dagbook.accounts.login_throttle import Attempt, LoginThrottle
from dagbook.accounts.refusal_log import RefusalLog
from dagbook.accounts.sessions import Login, Origin, Sessions
from dagbook.accounts.users import check_password
from dagbook.auth.audit_context import Action, Actor, Caller, user_action
from dagbook.auth.passwords import Hasher
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import sessions, tokens, users
from dagbook.db.repositories.accounts.sessions import SessionEnd
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import BadRequestError, UnauthorizedError

_log = logging.getLogger(__name__)
WRONG_LOGIN, WRONG_PASSWORD = "user name or password is wrong", "the current password is wrong"


class Logins:
    """Logins with name and password, throttled: TooManyAttemptsError."""

    def __init__(
        self,
        database: Database,
        hasher: Hasher,
        sessions: Sessions,
        throttle: LoginThrottle,
        refusals: RefusalLog,
        now: Clock,
    ) -> None:
        self._database = database
        self._refusals = refusals
        self._hasher = hasher
        self._sessions = sessions
        self._throttle = throttle
        self._now = now

    async def login(self, username: str, password: str, origin: Origin) -> Login:
        """Exchange name and password for a session; raises UnauthorizedError, the same for any mistake."""
        address = origin.address
        user = await self._database.read_inline(lambda connection: users.get_by_name(connection, username))
        attempt = self._throttle.admit(username, address)
        is_enabled = user is not None and user.disabled_at is None
        is_valid = await self._hasher.verify(password, user.password_hash if user and is_enabled else None)
        if not is_valid or user is None:
            _log.warning("a login as %r from %s has failed", username, address)
            audit_action = user_action(Action.LOGIN_FAILURE, username)
            actor = Actor(via="login", address=address)
            await self._refusals.record(actor, msgspec.structs.replace(audit_action, outcome="failed"))
            raise UnauthorizedError(WRONG_LOGIN)
        return await self._start_session(user, password, origin, attempt)

    async def _start_session(self, user: UserRow, password: str, origin: Origin, attempt: Attempt) -> Login:
        before = user.password_hash
        after = await self._hasher.hash(password) if self._hasher.is_outdated(before) else before
        actor = Actor(via="login", actor=user.username, user_id=user.id, address=origin.address)
        entry = actor.entry(user_action(Action.LOGIN_SUCCESS, user.username), self._now())

        def work(connection: WriteConnection) -> Login | None:
            users.lock(connection)
            present = users.get(connection, user.id)
            if present is None or (present.password_hash != before and present.updated_at != user.updated_at):
                return None
            if present.disabled_at is not None:
                return None
            if after != before:
                users.rehash(connection, user.id, before, after)
            audit.add(connection, entry)
            return self._sessions.start(connection, present, origin)

        login = await self._database.write(work)
        if login is None:
            raise UnauthorizedError("this user was changed meanwhile; log in again")
        self._throttle.succeed(attempt)
        return login

    async def record_login(self, caller: Caller) -> None:
        """Record a login without a user in the audit: at the provider, or of a browser with the static token."""
        entry = caller.actor.entry(user_action(Action.LOGIN_SUCCESS, caller.name or ""), self._now())
        await self._database.write(lambda connection: audit.add(connection, entry))

    async def change_password(self, caller: Caller, current: str, new: str) -> None:
        """Set the caller's own password, end its other sessions and revoke its other tokens.

        Raises UnauthorizedError if the current one is wrong, which counts as a failed login, then BadRequestError.
        """
        user = await self.require_user(caller)
        if not user.password_hash:
            raise BadRequestError("currentPassword: this account has no password here; it logs in at the provider")
        attempt = self._throttle.admit(user.username, caller.address)
        if not await self._hasher.verify(current, user.password_hash):
            audit_action = user_action(Action.USER_PASSWORD_CHANGE, user.username)
            await self._refusals.record(caller.actor, msgspec.structs.replace(audit_action, outcome="failed"))
            raise UnauthorizedError(WRONG_PASSWORD)
        self._throttle.succeed(attempt)
        check_password(new, "newPassword")
        hashed = await self._hasher.hash(new)

        def work(connection: WriteConnection) -> bool:
            users.lock(connection)
            now = users.get(connection, user.id)
            if now is None or now.password_hash != user.password_hash:
                return False
            at = max(self._now(), now.updated_at)
            users.set_password(connection, user.id, hashed, at)
            sessions.end_of_user(connection, user.id, at, SessionEnd.PASSWORD_CHANGED, spared=caller.session_id)
            tokens.revoke_all(connection, user.id, at, spared=caller.token_id)
            audit.add(connection, caller.actor.entry(user_action(Action.USER_PASSWORD_CHANGE, user.username), at))
            return True

        if not await self._database.write(work):
            raise UnauthorizedError("the current password was changed meanwhile")
        _log.info("user %r has changed the own password", user.username)

    async def require_user(self, caller: Caller) -> UserRow:
        """Return the row of the calling user; raises UnauthorizedError if it is not a user, or was deleted."""
        user_id = caller.user_id
        if user_id is None:
            raise UnauthorizedError("this credential belongs to no user; log in with name and password")
        user = await self._database.read_inline(lambda connection: users.get(connection, user_id))
        if user is None:
            raise UnauthorizedError("this user was removed")
        return user
