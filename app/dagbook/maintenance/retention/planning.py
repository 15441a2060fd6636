"""Selects the runs to delete, by the policies of their DAGs and by the total limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

import msgspec

from dagbook.db.database import Database, ReadConnection
from dagbook.db.repositories import deletion, retention
from dagbook.db.repositories.retention import Age, Edge
from dagbook.db.repositories.runs import run_history
from dagbook.db.repositories.runs.run_history import LastSuccess
from dagbook.maintenance.retention.limits import TotalLimits
from dagbook.maintenance.retention.policies import Policy

_GROUP = 50  # DAGs per transaction
_PLAN_PAGE = 200
_START = Edge(datetime.min.replace(tzinfo=UTC) + timedelta(days=1), 0)


class Reason(StrEnum):
    """The limit that a run exceeds."""

    AGE = "age"
    RUNS = "runs"
    LOG_BYTES = "logBytes"
    TOTAL_RUNS = "totalRuns"
    TOTAL_LOG_BYTES = "totalLogBytes"


class RunToDelete(msgspec.Struct, frozen=True):
    key: int
    name: str
    reason: Reason


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """The time of the decision, and the minimum time between the end of a run and its deletion."""

    at: datetime
    min_age: timedelta

    @property
    def until(self) -> datetime:
        """Runs that ended later are kept, whatever the limits."""
        return self.at - self.min_age

    def before(self, seconds: float) -> datetime:
        """Return the instant that many seconds ago, at least the earliest one."""
        try:
            return min(self.at - timedelta(seconds=seconds), self.until)
        except OverflowError:
            return _START.created_at


class DeletionPlanner:
    """Selects at most ``most`` runs, the oldest of each DAG first."""

    def __init__(self, database: Database, deadline: Deadline, most: int) -> None:
        self._database = database
        self._deadline = deadline
        self._most = most
        self.to_delete: dict[int, RunToDelete] = {}
        self._needed: dict[int, LastSuccess] = {}  # the runs from which others begin
        self.left_out: dict[int, LastSuccess] = {}  # those of them that exceed a limit

    @property
    def is_full(self) -> bool:
        """Whether there may be more runs to delete."""
        return len(self.to_delete) >= self._most

    async def of_dags(self, policies: Sequence[Policy]) -> None:
        """Select by the policy of each DAG."""
        for begin in range(0, len(policies), _GROUP):
            if self.is_full:
                return
            await self._database.read(partial(self._of_group, policies=policies[begin : begin + _GROUP]))

    def _of_group(self, connection: ReadConnection, policies: Sequence[Policy]) -> None:
        for policy in policies:
            limits = policy.limits
            if policy.keeps_success and (last := run_history.find_last_success(connection, policy.name)):
                self._needed[last.id] = last
            if limits.seconds is not None and self._capacity:
                age = Age(until=self._deadline.before(limits.seconds), newest=limits.may_delete_newest)
                self._add(policy.name, Reason.AGE, retention.find_old(connection, policy.name, age, self._capacity))
            if limits.runs is not None and self._capacity:
                keep = limits.runs if limits.newest else max(limits.runs, 1)
                found = retention.find_beyond(connection, policy.name, keep, self._deadline.until, self._capacity)
                self._add(policy.name, Reason.RUNS, found)
            if limits.log_bytes is not None and self._capacity:
                age = Age(until=self._deadline.until, newest=limits.newest)
                found = retention.find_over_bytes(connection, policy.name, limits.log_bytes, age, self._capacity)
                self._add(policy.name, Reason.LOG_BYTES, found)

    async def of_all(self, totals: TotalLimits) -> None:
        """Select the oldest runs beyond the total limits, assuming that those selected before are deleted."""
        if totals.runs is not None and not self.is_full:
            count = await self._database.read(run_history.count_finished)
            await self._of_oldest(Reason.TOTAL_RUNS, count - len(self.to_delete) - totals.runs)
        if totals.log_bytes is not None and not self.is_full:
            count = await self._database.read(retention.count_log_bytes)
            await self._of_oldest(Reason.TOTAL_LOG_BYTES, count - await self.count_log_bytes() - totals.log_bytes)

    async def count_log_bytes(self, of: Iterable[int] | None = None) -> int:
        """Count the log bytes of the selected runs, or of some of them."""
        keys, total = list(self.to_delete if of is None else of), 0
        for begin in range(0, len(keys), _PLAN_PAGE):
            sizes = await self._database.read(partial(deletion.size_of, keys=keys[begin : begin + _PLAN_PAGE]))
            total += sum(size.log_bytes for size in sizes.values())
        return total

    async def _of_oldest(self, reason: Reason, excess: int) -> None:
        edge = _START
        while excess > 0 and self._capacity:
            rows = await self._database.read(
                partial(retention.find_oldest, after=edge, until=self._deadline.until, most=_PLAN_PAGE)
            )
            for row in rows:
                is_free = row.id not in self.to_delete and row.id not in self._needed
                if is_free and excess > 0 and self._capacity:
                    self._add(row.dag_name, reason, [row.id])
                    excess -= 1 if reason is Reason.TOTAL_RUNS else row.log_bytes
            if len(rows) < _PLAN_PAGE:
                return
            edge = Edge(rows[-1].created_at, rows[-1].id)

    @property
    def _capacity(self) -> int:
        free = self._most - len(self.to_delete)
        return free + 1 if free > 0 and self._needed else max(free, 0)  # of each DAG one may be left out

    def _add(self, name: str, reason: Reason, keys: Sequence[int]) -> None:
        for key in keys:
            if key in self._needed:
                self.left_out[key] = self._needed[key]
            else:
                self.to_delete.setdefault(key, RunToDelete(key, name, reason))
