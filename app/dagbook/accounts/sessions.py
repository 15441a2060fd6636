"""Use cases of sessions: start, identify, list and end the logins of users (extension of the contract)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.accounts.ended_tokens import EndedTokenLog, TokenEnd
from dagbook.auth.audit_context import Action, Actor, AuditAction, Caller
from dagbook.auth.roles import Role, Scope, UserScope
from dagbook.auth.tokens import Claims, Signer, is_expired
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import groups, sessions, users
from dagbook.db.repositories.accounts.sessions import SessionEnd, SessionRow
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import BadRequestError, ForbiddenError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.telemetry.printable import printable

MAX_AGENT_LENGTH = 200
_USE_RECORDED_EVERY = timedelta(minutes=1)
_KEPT_FOR = timedelta(days=30)  # after the end, for the reason in the audit
_BROWSER_IDLE, _BROWSER_FRESH = timedelta(hours=12), timedelta(minutes=15)


class SessionLimits(msgspec.Struct, frozen=True):
    """Limits of the logins of programs, in seconds; 0 is none. Those of browsers always have limits."""

    idle_seconds: int = 0
    fresh_seconds: int = 0

    def idle(self, *, is_browser: bool) -> timedelta | None:
        """Return after which time without a request a session ends, if there is such a time."""
        return _BROWSER_IDLE if is_browser else timedelta(seconds=self.idle_seconds) or None

    def fresh(self, *, is_browser: bool) -> timedelta | None:
        """Return how old a login may be for what asks for a fresh one, if there is such a limit."""
        return _BROWSER_FRESH if is_browser else timedelta(seconds=self.fresh_seconds) or None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a login comes from: the address, the program by its own account, and whether it gets a cookie.

    ``before`` is the token of the session that the browser had.
    """

    address: str
    agent: str = ""
    is_browser: bool = False
    before: str | None = None


class Login(msgspec.Struct, frozen=True):
    """A successful login; ``proof`` is for the pages of a browser's session, None for programs."""

    token: str
    expires_at: datetime
    user: UserRow
    proof: str | None = None


class Sessions:
    """Use cases of sessions."""

    def __init__(
        self, database: Database, signer: Signer, ended: EndedTokenLog, limits: SessionLimits, now: Clock
    ) -> None:
        self._database = database
        self._signer = signer
        self._ended = ended
        self._limits = limits
        self._now = now

    def start(self, connection: WriteConnection, user: UserRow, origin: Origin) -> Login:
        """Store a session in the transaction of its login, and return the token."""
        now = self._now()
        expires_at = self._signer.expiry(now)
        claims = Claims(
            sub=user.id,
            uid=user.id,
            username=user.username,
            role=user.role,
            iat=int(now.timestamp()),
            exp=int(expires_at.timestamp()),
            gen=user.generation,
            jti=self._signer.new_id(),
        )
        sessions.remove_old(connection, user.id, now - _KEPT_FOR)
        replaced = self._signer.read(origin.before, now) if origin.before else None
        if replaced is not None and replaced.uid == user.id:
            sessions.end(connection, replaced.jti, now, SessionEnd.LOGGED_OUT)
        sessions.add(connection, _new(claims.jti, user, origin, now, expires_at))
        proof = self._signer.prove(claims.jti) if origin.is_browser else None
        return Login(self._signer.sign(claims), expires_at, user, proof)

    async def identify(self, token: str, address: str, *, is_browser: bool, is_use: bool = True) -> Caller | None:
        """Return the caller of a login token, or None; requests with one that was valid once are recorded.

        ``is_use``: the request counts against the idle limit. A token of a cookie is no bearer token, nor the reverse.
        """
        now = self._now()
        claims = self._signer.read_signed(token, now)
        if claims is None:
            return None
        row = await self._database.read_inline(lambda connection: sessions.get(connection, claims.jti))
        if row is not None and (row.user_id, row.generation, row.is_browser) != (claims.uid, claims.gen, is_browser):
            return None
        if row is None or is_expired(claims, now) or self._end_of(row, now):
            await self._record_end(claims, row, address, now)
            return None
        if is_use and now - row.last_used_at > _USE_RECORDED_EVERY:
            with contextlib.suppress(DatabaseUnavailable):  # reading must not fail because the use cannot be recorded
                await self._database.write(lambda connection: sessions.record_use(connection, row.id, now))
        is_granted = row.scope == UserScope.GRANTED
        return Caller(
            via="login",
            name=row.username,
            role=Role.VIEWER if is_granted else Role(row.user_role),
            visibility=(groups.subjects(row.user_id, row.group_ids),) if is_granted else (),
            user_id=row.user_id,
            session_id=row.id,
            logged_in_at=row.created_at,
            proof=self._signer.prove(row.id) if is_browser else None,
            address=address,
        )

    async def _record_end(self, claims: Claims, row: SessionRow | None, address: str, now: datetime) -> None:
        end = TokenEnd.EXPIRED if is_expired(claims, now) else None
        if row is not None:
            end = end or self._end_of(row, now)
        elif await self._database.read_inline(lambda connection: users.get(connection, claims.uid)) is None:
            end = end or TokenEnd.USER_REMOVED
        actor = Actor(via="login", user_id=claims.uid, address=address)
        await self._ended.record(actor, claims.username, end or TokenEnd.REVOKED)

    def _end_of(self, row: SessionRow, now: datetime) -> TokenEnd | None:
        if row.ended_as is not None:
            return TokenEnd(row.ended_as)
        if row.disabled_at is not None:
            return TokenEnd.USER_DISABLED
        idle = self._limits.idle(is_browser=row.is_browser)
        return TokenEnd.IDLE if idle is not None and now - row.last_used_at > idle else None

    def check_fresh(self, caller: Caller) -> None:
        """Raise ForbiddenError if the caller's login is too old for what asks for a fresh one.

        A personal token has no login: it needs the scope ``admin``, which is named for this alone.
        """
        if caller.via == "personal" and Scope.ADMIN not in (caller.scopes or ()):
            raise ForbiddenError(f"this token may not do this; it requires the scope {Scope.ADMIN}")
        if caller.logged_in_at is None:
            return
        limit = self._limits.fresh(is_browser=caller.proof is not None)
        if limit is not None and self._now() - caller.logged_in_at > limit:
            minutes = max(limit // timedelta(minutes=1), 1)
            raise ForbiddenError(
                f"log in again: this takes a login that is not older than {minutes} min",
                {"WWW-Authenticate": f'Bearer error="insufficient_user_authentication", max_age="{minutes * 60}"'},
            )

    def expiry(self) -> datetime:
        """Return when a session that starts now expires."""
        return self._signer.expiry(self._now())

    async def get(self, session_id: str) -> SessionRow:
        """Return a session, also one that has ended; raises NotFoundError."""
        row = await self._database.read_inline(lambda connection: sessions.get(connection, session_id))
        if row is None:
            raise _unknown(session_id)
        return row

    async def find(self, caller: Caller, *, all_users: bool) -> Sequence[SessionRow]:
        """Return the caller's open sessions, or as an admin those of all users; raises ForbiddenError."""
        if all_users and caller.role is not Role.ADMIN:
            raise ForbiddenError("only admins see the sessions of all users")
        now, user_id = self._now(), None if all_users else caller.user_id or ""
        found = await self._database.read_inline(lambda connection: sessions.find_open(connection, now, user_id))
        return [row for row in found if self._end_of(row, now) is None]

    async def log_out(self, caller: Caller) -> None:
        """End the session that asks. A browser without a session only loses its cookie, which is recorded.

        Raises BadRequestError for other credentials.
        """
        if caller.session_id is not None:
            await self._end(caller.session_id, caller, SessionEnd.LOGGED_OUT)
        elif caller.proof is not None or caller.via == "oidc":
            action = AuditAction(action=Action.LOGOUT, kind="session", name=caller.name or "")
            entry = caller.actor.entry(action, self._now())
            await self._database.write(lambda connection: audit.add(connection, entry))
        else:
            raise BadRequestError("this credential has no session; a personal token is revoked instead")

    async def end(self, session_id: str, caller: Caller) -> None:
        """End a session; raises NotFoundError, also for those of other users unless the caller is an admin."""
        await self._end(session_id, caller, SessionEnd.ENDED)

    async def _end(self, session_id: str, caller: Caller, reason: SessionEnd) -> None:
        action = Action.LOGOUT if reason is SessionEnd.LOGGED_OUT else Action.SESSION_END

        def work(connection: WriteConnection) -> None:
            row = sessions.get(connection, session_id)
            if row is None or (caller.role is not Role.ADMIN and row.user_id != caller.user_id):
                raise _unknown(session_id)
            at = max(self._now(), row.created_at)
            if sessions.end(connection, session_id, at, reason):
                about = {"user": row.username, "address": row.address, "since": row.created_at.isoformat()}
                entry = AuditAction(action=action, kind="session", name=f"{row.username}/{row.id}", before=about)
                audit.add(connection, caller.actor.entry(entry, at))

        await self._database.write(work)

    async def end_all(self, username: str | None, caller: Caller) -> int:
        """End the sessions of a user but the one that asks, by default the caller's own; returns how many.

        Raises NotFoundError, and ForbiddenError for another user unless the caller is an admin.
        """

        def work(connection: WriteConnection) -> int:
            user = _find_user(connection, username, caller)
            at = self._now()
            count = sessions.end_of_user(connection, user.id, at, SessionEnd.ENDED, spared=caller.session_id)
            if count:
                action = AuditAction(
                    action=Action.SESSION_END, kind="session", name=f"{user.username}/*", before={"count": count}
                )
                audit.add(connection, caller.actor.entry(action, at))
            return count

        return await self._database.write(work)


def _new(session_id: str, user: UserRow, origin: Origin, now: datetime, expires_at: datetime) -> SessionRow:
    return SessionRow(
        id=session_id,
        user_id=user.id,
        is_browser=origin.is_browser,
        address=origin.address,
        agent=printable(origin.agent)[:MAX_AGENT_LENGTH],
        created_at=now,
        last_used_at=now,
        expires_at=expires_at,
        ended_at=None,
        ended_as=None,
        username=user.username,
        user_role=user.role,
        generation=user.generation,
        disabled_at=user.disabled_at,
        scope=user.scope,
    )


def _unknown(session_id: str) -> NotFoundError:
    return NotFoundError(f"you have no session with the id {shorten(session_id)}")


def _find_user(connection: WriteConnection, username: str | None, caller: Caller) -> UserRow:
    if username is not None:
        if caller.role is not Role.ADMIN and username != caller.name:
            raise ForbiddenError("only admins end the sessions of other users")
        user = users.get_by_name(connection, username)
    else:
        user = users.get(connection, caller.user_id or "")
    if user is None:
        raise NotFoundError(f"there is no user named {shorten(username or caller.name or '')}")
    return user
