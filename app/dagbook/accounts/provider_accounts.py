"""Users who log in at an OpenID Connect provider: an account is made at the first login (extension of the contract)."""

from __future__ import annotations

import logging
import re
from functools import partial
from uuid import uuid4

import msgspec

from dagbook.accounts.access import matching_groups
from dagbook.accounts.oidc import Account
from dagbook.accounts.sessions import Login, Origin, Sessions
from dagbook.accounts.users import MAX_NAME_LENGTH
from dagbook.auth.audit_context import Action, Actor, AuditAction, user_action
from dagbook.auth.claims import values_of
from dagbook.auth.roles import Role, UserScope
from dagbook.clock import Clock
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, dags
from dagbook.db.repositories.accounts import groups, users
from dagbook.db.repositories.accounts.users import UserRow
from dagbook.errors import ForbiddenError

_log = logging.getLogger(__name__)
_NO_PASSWORD = ""


class ProviderAccounts:
    """Logins of users at the provider.

    A user belongs to an account by issuer and subject, never by name or e-mail address: those of an account may change,
    and a name may be that of another user here.
    """

    def __init__(
        self, database: Database, sessions: Sessions, now: Clock, *, has_rules: bool, scope: UserScope
    ) -> None:
        """``scope`` is that of new users."""
        self._scope = scope
        self._database = database
        self._sessions = sessions
        self._now = now
        self._has_rules = has_rules

    async def log_in(self, account: Account, issuer: str, origin: Origin) -> Login:
        """Start a session of the account's user, who is made if there is none; raises ForbiddenError if it is disabled.

        With rules the role is read again at every login.
        """

        def work(connection: WriteConnection) -> Login | None:
            users.lock(connection)
            user = users.get_by_subject(connection, issuer, str(account.claims["sub"]))
            user = self._add(connection, account, issuer) if user is None else self._update(connection, user, account)
            if user.disabled_at is not None:
                return None
            self._sync_groups(connection, user, account)
            actor = Actor(via="oidc", actor=user.username, user_id=user.id, address=origin.address)
            audit.add(connection, actor.entry(user_action(Action.LOGIN_SUCCESS, user.username), self._now()))
            return self._sessions.start(connection, user, origin)

        login = await self._database.write(work)
        if login is None:
            raise ForbiddenError("this account is disabled; an admin can enable it again")
        return login

    def _sync_groups(self, connection: WriteConnection, user: UserRow, account: Account) -> None:
        """Make the user a member of the groups whose claim the account has, and of no others by claim."""
        wanted = matching_groups(connection, partial(values_of, account.claims))
        known = groups.find_groups_by_claim(connection, user.id)
        joined = [one for one in sorted(wanted - known) if groups.add_member(connection, one, user.id, by_claim=True)]
        left = sorted(known - wanted)
        for one in left:
            groups.remove_member(connection, one, user.id)
        for action, changed in ((Action.GROUP_JOIN, joined), (Action.GROUP_LEAVE, left)):
            for group in filter(None, (groups.get(connection, one) for one in changed)):
                entry = AuditAction(action=action, kind="group", name=group.name, after={"user": user.username})
                audit.add(connection, Actor(via="oidc").entry(entry, self._now()))

    def _add(self, connection: WriteConnection, account: Account, issuer: str) -> UserRow:
        now = self._now()
        usable = _find_usable_names(connection, account)
        numbered = (f"{usable[0][: MAX_NAME_LENGTH - 8]}-{number}" for number in range(2, 1000))
        names = (*usable, *numbered)
        row = UserRow(
            id=str(uuid4()),
            username=next(name for name in names if users.get_by_name(connection, name) is None),
            role=str(account.role),
            password_hash=_NO_PASSWORD,
            generation=1,
            issuer=issuer,
            subject=str(account.claims["sub"]),
            disabled_at=None,
            scope=str(self._scope),
            created_at=now,
            updated_at=now,
        )
        users.add(connection, row)
        scope = {} if row.scope == UserScope.ALL else {"scope": row.scope}
        after = {"id": row.id, "role": row.role, "issuer": issuer, **scope}
        audit.add(connection, Actor(via="oidc").entry(user_action(Action.USER_CREATE, row.username, after=after), now))
        _log.info("user %r, %s, was made at the first login at %s", row.username, row.role, issuer)
        return row

    def _update(self, connection: WriteConnection, user: UserRow, account: Account) -> UserRow:
        if not self._has_rules or user.role == account.role:
            return user
        if user.role == Role.ADMIN and users.count(connection, Role.ADMIN) == 1:
            _log.warning(
                "user %r stays an admin, although claims say %s: it is the last one", user.username, account.role
            )
            return user
        changed = msgspec.structs.replace(user, role=str(account.role), updated_at=max(self._now(), user.updated_at))
        users.change(connection, user.id, role=changed.role, updated_at=changed.updated_at)
        action = user_action(Action.USER_UPDATE, user.username, {"role": user.role}, {"role": changed.role})
        audit.add(connection, Actor(via="oidc").entry(action, changed.updated_at))
        return changed


def _find_usable_names(connection: WriteConnection, account: Account) -> list[str]:
    """Return names for the user of an account, the best one first; at least one.

    Accounts choose their names, so none takes one that a stored definition with ``approvers`` has in whatever place,
    unless it is the account's e-mail address.
    """
    chosen = str(account.claims.get("preferred_username", ""))[:MAX_NAME_LENGTH]
    names = [name[:MAX_NAME_LENGTH] for name in account.names if "\0" not in name]
    if chosen and chosen != account.claims.get("email"):
        word = re.compile(rf"(?<![\w.@-]){re.escape(chosen)}(?![\w.@-])")
        if any(word.search(row.spec or "") for row in dags.find_holding(connection, "approvers")):
            names = [name for name in names if name != chosen]
    return names or [f"account {uuid4()}"]
