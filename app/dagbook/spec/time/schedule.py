"""The parsed schedules of a definition (DAG format 2.6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from dagbook.spec.reading.load import load
from dagbook.spec.time.cron import Cron, fires_at, next_after, parse

Kind = Literal["start", "stop", "restart"]
KINDS: tuple[Kind, ...] = ("stop", "restart", "start")  # in the order in which firings of one minute are handled


class CronEntry(msgspec.Struct, frozen=True):
    """A cron expression with its parsed form."""

    expression: str
    cron: Cron

    def next(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the next firing strictly after an instant."""
        return next_after(self.cron, instant, zone)

    def is_at(self, minute: datetime, zone: ZoneInfo) -> bool:
        """Whether it fires in a minute."""
        return fires_at(self.cron, minute, zone)


class ParsedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """All parsed schedules of a definition; of one that is not valid, those that can be read."""

    start: tuple[CronEntry, ...] = ()
    stop: tuple[CronEntry, ...] = ()
    restart: tuple[CronEntry, ...] = ()
    skip_if_successful: bool = False
    is_valid: bool = True

    def entries(self, kind: Kind) -> tuple[CronEntry, ...]:
        found: tuple[CronEntry, ...] = getattr(self, kind)
        return found

    @property
    def is_empty(self) -> bool:
        return not (self.start or self.stop or self.restart)


NO_SCHEDULE = ParsedSchedule()


def may_schedule(text: str) -> bool:
    """Whether a text can have schedules at all, which most have not; checked without parsing it, keys in any case."""
    return "schedule" in text.lower()


def read_schedule(text: str) -> ParsedSchedule:
    """Read the schedules of a text."""
    if not may_schedule(text):
        return NO_SCHEDULE
    loaded = load(text, name="dag", metadata_only=True)
    dag = loaded.definition.dag
    return ParsedSchedule(
        start=_entries(dag.schedule.start),
        stop=_entries(dag.schedule.stop),
        restart=_entries(dag.schedule.restart),
        skip_if_successful=dag.skip_if_successful,
        is_valid=not (loaded.problems or loaded.empty),
    )


def _entries(expressions: tuple[str, ...]) -> tuple[CronEntry, ...]:
    return tuple(read_entries(expressions))


def read_entries(expressions: Iterable[str]) -> Iterator[CronEntry]:
    """Parse expressions; a broken one is left out, since it is among the definition's problems."""
    for expression in dict.fromkeys(expressions):
        with suppress(ValueError):
            yield CronEntry(expression, parse(expression))
