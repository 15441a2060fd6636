"""Keeps what is stored of runs within its limits: in the background, and when somebody asks.

One slice of work at a time, of a few seconds, and on PostgreSQL by one server at a time: whoever comes next looks
anew at what has to go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from app.auth.audit_context import Action, Actor, AuditAction
from app.clock import Clock
from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.db.repositories import audit
from app.errors import UnavailableError
from app.upkeep.choice import Choice, Doomed, Moment, Reason
from app.upkeep.limits import Limits, Totals
from app.upkeep.policies import Policies, Policy
from app.upkeep.removing import Gone, Remover

_log = logging.getLogger(__name__)
_PURPOSE = "dagbook retention"
_SLICE_SECONDS = 5.0
_MOST_AT_ONCE = 2_000
_MOST_SHOWN = 100_000
_FIRST_SECONDS = 600.0  # after a start there is other work
_SETTLED = timedelta(minutes=1)  # mails are still written, and somebody may be looking


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to be removed: of one DAG or all, by limits of their own or by those that count anyway."""

    name: str | None = None
    limits: Limits | None = None


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """What of a DAG's runs goes, and why."""

    policy: Policy
    runs: int
    log_bytes: int
    reasons: Mapping[Reason, int]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What would go now; ``more`` when even more would, that was not looked at."""

    going: Sequence[Going]
    more: bool


class Cleaned(msgspec.Struct, frozen=True):
    """What went in one slice of work, and whether there is more to go."""

    gone: Gone
    more: bool


class Retention:
    """The only one that removes runs."""

    def __init__(self, database: Database, policies: Policies, now: Clock, interval_seconds: float) -> None:
        self._database = database
        self._now = now
        self._interval = interval_seconds
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.policies = policies
        self.total = Gone()  # since this process began

    # -- life cycle ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look again and again; starting twice is harmless."""
        if self._task is None:
            self._stopping.clear()
            self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """End after the transaction that is under way; stopping without a start is harmless."""
        self._stopping.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def _run(self) -> None:
        pause = min(self._interval, _FIRST_SECONDS)
        while not await self._is_stopped_within(pause):
            pause = self._interval
            try:
                await self.run_once()
            except DatabaseUnavailable as error:
                _log.warning("old runs are not removed for now: %s", error)
            except Exception:  # noqa: BLE001 - later rounds must come, whatever one met
                _log.exception("a round of the retention failed")

    async def _is_stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def run_once(self) -> Gone:
        """Remove everything that has to go by now, and return what that was; nothing where another server is at it."""
        gone, more = Gone(), True
        policies = await self.policies.find()
        while more and not self._stopping.is_set():
            cleaned = await self._clean(policies, self.policies.defaults.totals, _SETTLED)
            if cleaned is None:
                break
            gone, more = gone + cleaned.gone, cleaned.more
        if gone != Gone():
            _log.info(
                "removed %d runs with %d bytes of logs, %d definitions that nothing named, and gave %d pages back",
                *(gone.runs, gone.log_bytes, gone.definitions, gone.pages),
            )
        return gone

    # -- what people ask for ---------------------------------------------------------------------------------

    async def preview(self, wish: Wish) -> Preview:
        """Tell what would go now."""
        choice = Choice(self._database, self._moment(wish), _MOST_SHOWN)
        policies = await self._find_policies(wish)
        await choice.of_dags(policies)
        if wish == Wish():
            await choice.of_all(self.policies.defaults.totals)
        doomed: dict[str, list[Doomed]] = {policy.name: [] for policy in policies}
        for one in choice.doomed.values():
            doomed.setdefault(one.name, []).append(one)
        told = [policy for policy in policies if doomed[policy.name] or policy.name == wish.name]
        return Preview(
            going=[await _going(choice, policy, doomed[policy.name]) for policy in told], more=choice.is_full
        )

    async def clean(self, wish: Wish, origin: Actor) -> Cleaned:
        """Remove what is wished, for some seconds; raises UnavailableError where another server is at it.

        The removal is many commits, so who asked for it is in the audit before the first.
        """
        policies = await self._find_policies(wish)
        limits = None if wish.limits is None else msgspec.structs.asdict(wish.limits)
        audit_action = AuditAction(action=Action.RUN_CLEANUP, kind="runs", name=wish.name or "all", after=limits)
        entry = origin.entry(audit_action, self._now())
        await self._database.write(lambda connection: audit.add(connection, entry))
        totals = self.policies.defaults.totals if wish == Wish() else Totals()
        cleaned = await self._clean(policies, totals, self._moment(wish).settled)
        if cleaned is None:
            raise UnavailableError("another server is removing runs from this database; try again when it is done")
        return cleaned

    async def _find_policies(self, wish: Wish) -> list[Policy]:
        found = [await self.policies.get(wish.name)] if wish.name else await self.policies.find()
        if wish.limits is None:
            return found
        return [Policy(name=policy.name, limits=wish.limits) for policy in found]

    def _moment(self, wish: Wish) -> Moment:
        """Who says what is to go does not mean it to wait."""
        return Moment(at=self._now(), settled=timedelta() if wish.limits else _SETTLED)

    # -- one slice of work -----------------------------------------------------------------------------------

    async def _clean(self, policies: Sequence[Policy], totals: Totals, settled: timedelta) -> Cleaned | None:
        async with self._turn, self._database.alone(_PURPOSE) as is_alone:
            if not is_alone:
                return None
            cleaned = await self._slice(policies, totals, Moment(at=self._now(), settled=settled))
        self.total += cleaned.gone
        return cleaned

    async def _slice(self, policies: Sequence[Policy], totals: Totals, moment: Moment) -> Cleaned:
        choice = Choice(self._database, moment, _MOST_AT_ONCE)
        await choice.of_dags(policies)
        await choice.of_all(totals)
        end = time.monotonic() + _SLICE_SECONDS

        def may_go_on() -> bool:
            """Let something go in each slice, however slow the machine is: else the rounds would come to nothing."""
            return not self._stopping.is_set() and (time.monotonic() < end or remover.gone == Gone())

        remover = Remover(self._database, may_go_on)
        await remover.finish(moment.at)
        await remover.remove(list(choice.doomed), moment.at, moment.until)
        if not choice.is_full:
            await remover.remove_unused_definitions()
            await remover.give_pages_back()
        # What could not be removed is met again in the next round, not at once.
        return Cleaned(remover.gone, more=(choice.is_full or remover.was_cut) and remover.gone != Gone())


async def _going(choice: Choice, policy: Policy, doomed: Sequence[Doomed]) -> Going:
    log_bytes = await choice.count_log_bytes([one.key for one in doomed])
    return Going(policy=policy, runs=len(doomed), log_bytes=log_bytes, reasons=Counter(one.reason for one in doomed))
