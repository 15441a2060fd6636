"""Audit entries of requests with a token that was valid once: it has expired or was revoked, or its user is gone."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from enum import StrEnum

import msgspec

from dagbook.accounts.refusal_log import RefusalLog
from dagbook.auth.audit_context import Action, Actor, user_action
from dagbook.clock import Clock
from dagbook.db.database import Database

_MAX_PER_USER, _PERIOD_SECONDS = 3, 900.0
_MAX_PER_MINUTE = 20  # of all users
_MAX_USERS = 1_000


class TokenEnd(StrEnum):
    """Why a token is not valid any more."""

    EXPIRED = "expired"
    REVOKED = "revoked"
    LOGGED_OUT = "logged out"
    ENDED = "ended"
    IDLE = "idle"
    PASSWORD_CHANGED = "password changed"  # noqa: S105 - a reason
    OTHER_ADDRESS = "other address"
    USER_DISABLED = "user disabled"
    USER_REMOVED = "user removed"


class _Budget:
    def __init__(self) -> None:
        self.recorded: deque[float] = deque()
        self.left_out = 0


class EndedTokenLog:
    """Records such requests: at most three of a user in 15 minutes, and 20 a minute of all users.

    The next entry of a user has the number of those left out. The holder of an ended token may send any number of
    requests, so these entries neither fill the audit nor use up the budget of other refusals.
    """

    def __init__(self, database: Database, now: Clock, seconds: Callable[[], float] = time.monotonic) -> None:
        self._refusals = RefusalLog(database, now, seconds, _MAX_PER_MINUTE)
        self._seconds = seconds
        self._budgets: OrderedDict[str, _Budget] = OrderedDict()

    async def record(self, actor: Actor, username: str, reason: TokenEnd) -> None:
        """Record a request with a token that belonged to a user; its sender is not identified by it."""
        budget = self._budget(actor.user_id or username)
        now = self._seconds()
        while budget.recorded and now - budget.recorded[0] >= _PERIOD_SECONDS:
            budget.recorded.popleft()
        if len(budget.recorded) >= _MAX_PER_USER:
            budget.left_out += 1
            return
        budget.recorded.append(now)
        left_out, budget.left_out = budget.left_out, 0
        after = {"reason": str(reason), **({"leftOutOfUser": left_out} if left_out else {})}
        audit_action = user_action(Action.TOKEN_REFUSE, username, after=after)
        await self._refusals.record(actor, msgspec.structs.replace(audit_action, outcome="refused"))

    def _budget(self, user: str) -> _Budget:
        budget = self._budgets.setdefault(user, _Budget())
        self._budgets.move_to_end(user)
        if len(self._budgets) > _MAX_USERS:
            self._budgets.popitem(last=False)
        return budget
