"""Use cases of personal API tokens: create, list, revoke, identify (extension of the contract)."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import msgspec

from dagbook.accounts.access import MAX_PATTERNS, check_pattern, without_covered
from dagbook.accounts.ended_tokens import EndedTokenLog, TokenEnd
from dagbook.auth.audit_context import Action, Actor, AuditAction, Caller
from dagbook.auth.roles import Role, Scope, UserScope, highest_role, lower_role
from dagbook.auth.tokens import hash_of, make_personal
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit
from dagbook.db.repositories.accounts import dag_access, groups, tokens, users
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.accounts.groups import GrantRow
from dagbook.db.repositories.accounts.tokens import TokenRow
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
)
from dagbook.identifiers import shorten

MAX_NAME_LENGTH = 64
MAX_ADDRESSES = 50
_MAX_VALID, _MAX_PER_MINUTE = 50, 20  # of one user
_MAX_ENDED, _MAX_ENDED_OF_ALL = 50, 1_000  # that are listed, and that are kept of one user
_USE_RECORDED_EVERY = timedelta(minutes=1)
_UNSCOPED = Role.MANAGER  # the highest role of a token that names no scopes


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a new token: without a role the user's own, without a user the caller's, without a limit none.

    Without scopes it has all but ``admin``, so it is a manager at most.

    ``addresses`` are IP addresses and networks, ``dags`` patterns of DAG names.
    """

    name: str
    role: Role | None = None
    expires_at: datetime | None = None
    username: str | None = None
    scopes: Sequence[Scope] | None = None
    addresses: Sequence[str] | None = None
    dags: Sequence[str] | None = None


class PersonalTokens:
    """Use cases of personal tokens."""

    def __init__(self, database: Database, ended: EndedTokenLog, max_days: int, now: Clock) -> None:
        self._database = database
        self._ended = ended
        self._max_age = timedelta(days=max_days) or None
        self._now = now

    async def identify(self, token: str, address: str) -> Caller | None:
        """Return the caller of a token, or None if it is unknown, revoked or expired; the last two are recorded."""
        hashed = hash_of(token)
        row = await self._database.read_inline(lambda connection: tokens.get_by_hash(connection, hashed))
        now = self._now()
        if row is None:
            return None
        if end := self._end_of(row, address, now):
            origin = {"token_id": row.id, "token_name": row.name, "address": address}
            await self._ended.record(Actor(via="personal", user_id=row.user_id, **origin), row.username, end)
            return None
        if row.last_used_at is None or now - row.last_used_at > _USE_RECORDED_EVERY:
            with contextlib.suppress(DatabaseUnavailable):  # reading must not fail because the use cannot be recorded
                await self._database.write(lambda connection: tokens.record_use(connection, row.id, now))
        is_granted = row.scope == UserScope.GRANTED
        role = Role(row.role) if is_granted else lower_role(Role(row.role), Role(row.user_role))
        scopes = None if row.scopes is None else frozenset(map(Scope, row.scopes.split()))
        role = lower_role(role, _UNSCOPED if scopes is None else highest_role(scopes))
        visibility: Visibility = (tuple(map(dag_access.pattern_subject, patterns_of(row))),) if row.patterns else ()
        if is_granted:
            visibility = (groups.subjects(row.user_id, row.group_ids), *visibility)
        return Caller(
            via="personal",
            name=row.username,
            role=Role.VIEWER if visibility else role,
            visibility=visibility,
            ceiling=lower_role(role, Role.MANAGER),
            scopes=scopes,
            is_limited=bool(row.patterns),
            user_id=row.user_id,
            token_id=row.id,
            token_name=row.name,
            address=address,
        )

    async def find(self, caller: Caller, *, all_users: bool) -> Sequence[TokenRow]:
        """Return the caller's tokens, or as an admin those of all users; of those that have ended only the newest.

        Raises ForbiddenError.
        """
        if all_users and caller.role is not Role.ADMIN:
            raise ForbiddenError("only admins see the tokens of all users")
        user_id, most = (None, _MAX_ENDED_OF_ALL) if all_users else (caller.user_id or "", _MAX_ENDED)
        now = self._now()
        return await self._database.read_inline(lambda connection: tokens.find(connection, user_id, now, most))

    async def create(self, request: TokenRequest, caller: Caller) -> tuple[str, TokenRow]:
        """Create a token and return it, once only, with its row.

        Raises BadRequestError, ForbiddenError, NotFoundError, AlreadyExistsError, TooManyRequestsError.
        """
        addresses, patterns = _check(request)
        expires_at = self._expiry(request)
        if caller.via == "personal":
            raise ForbiddenError("a token cannot create tokens; log in with name and password")
        token = make_personal()

        def work(connection: WriteConnection) -> TokenRow:
            users.lock(connection)
            user = _user_for(connection, request, caller)
            self._check_limits(connection, user)
            if tokens.has_valid(connection, user.id, request.name):
                raise AlreadyExistsError(
                    f"{user.username!r} has a token named {shorten(request.name)}; revoke it first"
                )
            row = self._new(request, user, expires_at, addresses, patterns)
            tokens.add(connection, row, hash_of(token))
            _add_patterns(connection, row, caller)
            tokens.remove_ended(connection, user.id, row.created_at, kept=_MAX_ENDED)
            audit_action = _audit_action(Action.TOKEN_CREATE, user.username, row)
            audit.add(connection, caller.actor.entry(audit_action, row.created_at))
            return row

        return token, await self._database.write(work)

    def _check_limits(self, connection: ReadConnection, user: UserRow) -> None:
        now = self._now()
        if tokens.count_valid(connection, user.id, now) >= _MAX_VALID:
            raise BadRequestError(
                f"{user.username!r} has {_MAX_VALID} valid tokens already; revoke one that is not used"
            )
        made = tokens.find_creations(connection, user.id, now - timedelta(minutes=1))
        if len(made) >= _MAX_PER_MINUTE:
            raise TooManyRequestsError(
                f"{user.username!r} was given {_MAX_PER_MINUTE} tokens within a minute; try again in a minute",
                60 - (now - made[-_MAX_PER_MINUTE]).total_seconds(),
            )

    def _end_of(self, row: TokenRow, address: str, now: datetime) -> TokenEnd | None:
        if row.revoked_at is not None:
            return TokenEnd.REVOKED
        if row.disabled_at is not None:
            return TokenEnd.USER_DISABLED
        is_old = self._max_age is not None and now - row.created_at >= self._max_age
        if is_old or (row.expires_at is not None and now >= row.expires_at):
            return TokenEnd.EXPIRED
        is_elsewhere = row.addresses is not None and not _is_in(address, row.addresses.split())
        return TokenEnd.OTHER_ADDRESS if is_elsewhere else None

    def _expiry(self, request: TokenRequest) -> datetime | None:
        now = self._now()
        last = None if self._max_age is None else now + self._max_age
        if request.expires_at is None:
            return last
        if request.expires_at <= now:
            raise BadRequestError("expiresAt: is in the past; give a future time, or leave it out")
        if last is not None and request.expires_at > last:
            raise BadRequestError(f"expiresAt: is later than {last.isoformat()}, which is the latest here")
        return request.expires_at

    def _new(
        self,
        request: TokenRequest,
        user: UserRow,
        expires_at: datetime | None,
        addresses: str | None,
        patterns: Sequence[str],
    ) -> TokenRow:
        # The role of a user with grants is only shown; those of the grants limit the token.
        highest = Role.MANAGER if user.scope == UserScope.GRANTED else Role(user.role)
        role = request.role or (highest if request.scopes else lower_role(highest, _UNSCOPED))
        if lower_role(role, highest) is not role:
            raise ForbiddenError(f"role: a token of {user.username!r}, {highest}, cannot be {role}")
        if request.scopes is None and lower_role(role, _UNSCOPED) is not role:
            raise BadRequestError(
                f"role: a token is {role} only with the scope admin; name it in scopes, or leave role out"
            )
        return TokenRow(
            id=str(uuid4()),
            user_id=user.id,
            name=request.name,
            role=str(role),
            created_at=self._now(),
            expires_at=expires_at,
            revoked_at=None,
            last_used_at=None,
            scopes=None if request.scopes is None else " ".join(sorted(set(request.scopes))),
            addresses=addresses,
            username=user.username,
            user_role=user.role,
            disabled_at=user.disabled_at,
            scope=user.scope,
            patterns=" ".join(patterns) or None,
        )

    async def revoke(self, token_id: str, caller: Caller) -> None:
        """Revoke a token; raises NotFoundError, also for tokens of other users unless the caller is an admin."""

        def work(connection: WriteConnection) -> None:
            row = tokens.get(connection, token_id)
            if row is None or (caller.role is not Role.ADMIN and row.user_id != caller.user_id):
                raise NotFoundError(f"you have no token with the id {shorten(token_id)}")
            at = max(self._now(), row.created_at)
            if tokens.revoke(connection, token_id, at):
                audit_action = _audit_action(Action.TOKEN_DELETE, row.username, row)
                audit.add(connection, caller.actor.entry(audit_action, at))

        await self._database.write(work)


def patterns_of(row: TokenRow) -> list[str]:
    """Return the patterns of DAG names that limit a token, sorted."""
    return sorted((row.patterns or "").split())


def _add_patterns(connection: WriteConnection, row: TokenRow, caller: Caller) -> None:
    for pattern in patterns_of(row):
        grant = GrantRow(
            id=str(uuid4()),
            subject=groups.token_subject(row.id),
            user_id=None,
            group_id=None,
            token_id=row.id,
            role=str(Role.MANAGER),  # it limits which DAGs, the token's own role limits what for
            pattern=pattern,
            tag=None,
            created_at=row.created_at,
            created_by=caller.actor_label,
        )
        groups.add_grant(connection, grant)


def _audit_action(action: Action, username: str, row: TokenRow) -> AuditAction:
    """Build the audited action on a token; it contains the token's name and id only."""
    until = row.expires_at.isoformat() if row.expires_at else None
    about = {"id": row.id, "role": row.role, "expiresAt": until, "scopes": row.scopes, "addresses": row.addresses}
    if row.patterns:
        about["dags"] = " ".join(patterns_of(row))
    was, now = (None, about) if action is Action.TOKEN_CREATE else (about, None)
    return AuditAction(action=action, kind="token", name=f"{username}/{row.name}", before=was, after=now)


def _check(request: TokenRequest) -> tuple[str | None, list[str]]:
    """Return the addresses as they are stored, and the patterns of DAG names, each once; raises BadRequestError."""
    if not request.name.strip() or len(request.name) > MAX_NAME_LENGTH or "\0" in request.name:
        raise BadRequestError(
            f"name: {shorten(request.name)} is not a token name; use 1 to {MAX_NAME_LENGTH} characters, not only spaces"
        )
    if request.scopes is not None and not request.scopes:
        raise BadRequestError(f"scopes: is empty; give some of {', '.join(Scope)}, or leave it out")
    if request.dags is not None and not 0 < len(request.dags) <= MAX_PATTERNS:
        raise BadRequestError(f"dags: give 1 to {MAX_PATTERNS} patterns of DAG names, or leave it out")
    addresses = None if request.addresses is None else _read_networks(request.addresses)
    return addresses, without_covered([check_pattern(pattern, "dags") for pattern in request.dags or ()])


def _read_networks(addresses: Sequence[str]) -> str:
    if not 0 < len(addresses) <= MAX_ADDRESSES:
        raise BadRequestError(f"addresses: give 1 to {MAX_ADDRESSES} addresses or networks, or leave it out")
    found = []
    for text in addresses:
        try:
            found.append(str(ipaddress.ip_network(text.strip())))
        except ValueError:
            raise BadRequestError(
                f"addresses: {shorten(text)} is no address or network; write one such as 192.0.2.7 or 2001:db8::/32"
            ) from None
    return " ".join(dict.fromkeys(found))


def _is_in(address: str, networks: Sequence[str]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False  # of a Unix socket
    plain = getattr(found, "ipv4_mapped", None) or found
    return any(plain in ipaddress.ip_network(network) for network in networks)


def _user_for(connection: WriteConnection, request: TokenRequest, caller: Caller) -> UserRow:
    if request.username is None and caller.user_id is None:
        raise BadRequestError("username: is missing; this credential belongs to no user, so name the user of the token")
    if request.username is not None and request.username != caller.name and caller.role is not Role.ADMIN:
        raise ForbiddenError("username: only admins create tokens for others")
    user = (
        users.get_by_name(connection, request.username)
        if request.username is not None
        else users.get(connection, caller.user_id or "")
    )
    if user is None and request.username is not None:
        raise NotFoundError(f"there is no user named {shorten(request.username)}")
    if user is None:
        raise UnauthorizedError("this user was removed")
    return user
