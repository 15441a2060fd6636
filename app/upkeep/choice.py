"""Which runs go now: by age, number and bytes of each DAG's, then by number and bytes of all together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

import msgspec

from app.db.database import Database, ReadConnection
from app.db.repositories import removal, retention
from app.db.repositories.retention import Age, Edge
from app.upkeep.limits import Totals
from app.upkeep.policies import Policy

_GROUP = 50  # DAGs that are looked at in one transaction
_PAGE = 200
_FIRST = Edge(datetime.min.replace(tzinfo=UTC) + timedelta(days=1), 0)


class Reason(StrEnum):
    """Why a run goes."""

    AGE = "age"
    RUNS = "runs"
    LOG_BYTES = "logBytes"
    TOTAL_RUNS = "totalRuns"
    TOTAL_LOG_BYTES = "totalLogBytes"


class Doomed(msgspec.Struct, frozen=True):
    """A run that goes."""

    key: int
    name: str
    reason: Reason


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When it is decided, and how long a run has to be over before it may go."""

    at: datetime
    settled: timedelta

    @property
    def until(self) -> datetime:
        """Runs that ended later stay, whatever the limits."""
        return self.at - self.settled

    def before(self, seconds: float) -> datetime:
        """Return the instant so many seconds ago, or the first one that there is."""
        try:
            return min(self.at - timedelta(seconds=seconds), self.until)
        except OverflowError:
            return _FIRST.created_at


class Choice:
    """Chooses at most so many runs, the oldest of each DAG first."""

    def __init__(self, database: Database, moment: Moment, most: int) -> None:
        self._database = database
        self._moment = moment
        self._most = most
        self.doomed: dict[int, Doomed] = {}

    @property
    def is_full(self) -> bool:
        """Whether there may be more that have to go."""
        return len(self.doomed) >= self._most

    async def of_dags(self, policies: Sequence[Policy]) -> None:
        """Choose by what counts for each DAG."""
        for begin in range(0, len(policies), _GROUP):
            if self.is_full:
                return
            await self._database.read(partial(self._of_group, policies=policies[begin : begin + _GROUP]))

    def _of_group(self, connection: ReadConnection, policies: Sequence[Policy]) -> None:
        for policy in policies:
            self._of_age(connection, policy)
            self._of_runs(connection, policy)
            self._of_log_bytes(connection, policy)

    def _of_age(self, connection: ReadConnection, policy: Policy) -> None:
        limits = policy.limits
        if limits.seconds is not None and self._room:
            age = Age(until=self._moment.before(limits.seconds), newest=limits.lets_newest_go)
            self._add(policy.name, Reason.AGE, retention.find_old(connection, policy.name, age, self._room))

    def _of_runs(self, connection: ReadConnection, policy: Policy) -> None:
        if policy.limits.runs is not None and self._room:
            keep = policy.limits.runs if policy.limits.newest else max(policy.limits.runs, 1)
            found = retention.find_beyond(connection, policy.name, keep, self._moment.until, self._room)
            self._add(policy.name, Reason.RUNS, found)

    def _of_log_bytes(self, connection: ReadConnection, policy: Policy) -> None:
        limits = policy.limits
        if limits.log_bytes is not None and self._room:
            age = Age(until=self._moment.until, newest=limits.newest)
            found = retention.find_over_bytes(connection, policy.name, limits.log_bytes, age, self._room)
            self._add(policy.name, Reason.LOG_BYTES, found)

    async def of_all(self, totals: Totals) -> None:
        """Choose, from the oldest run on, what is too much of all together once the others are gone."""
        if totals.runs is not None and not self.is_full:
            there = await self._database.read(retention.count_over)
            await self._of_oldest(Reason.TOTAL_RUNS, there - len(self.doomed) - totals.runs)
        if totals.log_bytes is not None and not self.is_full:
            there = await self._database.read(retention.count_log_bytes)
            await self._of_oldest(Reason.TOTAL_LOG_BYTES, there - await self.count_log_bytes() - totals.log_bytes)

    async def count_log_bytes(self, of: Iterable[int] | None = None) -> int:
        """Count the bytes of the logs that go, or of some of them."""
        keys, total = list(self.doomed if of is None else of), 0
        for begin in range(0, len(keys), _PAGE):
            sizes = await self._database.read(partial(removal.measure, keys=keys[begin : begin + _PAGE]))
            total += sum(size.log_bytes for size in sizes.values())
        return total

    async def _of_oldest(self, reason: Reason, excess: int) -> None:
        edge = _FIRST
        while excess > 0 and self._room:
            rows = await self._database.read(
                partial(retention.find_oldest, after=edge, until=self._moment.until, most=_PAGE)
            )
            for row in rows:
                if row["id"] not in self.doomed and excess > 0 and self._room:
                    self._add(row["dag_name"], reason, [row["id"]])
                    excess -= 1 if reason is Reason.TOTAL_RUNS else row["log_bytes"]
            if len(rows) < _PAGE:
                return
            edge = Edge(rows[-1]["created_at"], rows[-1]["id"])

    @property
    def _room(self) -> int:
        return max(self._most - len(self.doomed), 0)

    def _add(self, name: str, reason: Reason, keys: Sequence[int]) -> None:
        for key in keys:
            self.doomed.setdefault(key, Doomed(key, name, reason))
