"""When a definition wants to be started, stopped and restarted, ready to be asked (DAG format 2.6)."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from app.spec.cron import Cron, fires_at, next_after, parse
from app.spec.load import load

KINDS = ("stop", "restart", "start")  # in the order in which those of one minute are seen to


class Entry(msgspec.Struct, frozen=True):
    """One cron expression as it was written, and what it means."""

    expression: str
    cron: Cron

    def next(self, instant: datetime, zone: ZoneInfo) -> datetime | None:
        """Tell when it comes next, strictly after an instant."""
        return next_after(self.cron, instant, zone)

    def is_at(self, minute: datetime, zone: ZoneInfo) -> bool:
        """Whether it comes in a minute."""
        return fires_at(self.cron, minute, zone)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """All schedules of a definition."""

    start: tuple[Entry, ...] = ()
    stop: tuple[Entry, ...] = ()
    restart: tuple[Entry, ...] = ()
    skip_if_successful: bool = False

    def entries(self, kind: str) -> tuple[Entry, ...]:
        """Give those of a kind."""
        found: tuple[Entry, ...] = getattr(self, kind)
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ever due."""
        return not (self.start or self.stop or self.restart)


NEVER = Timing()


def may_schedule(text: str) -> bool:
    """Whether a text can have schedules at all, which most have not; seen without reading it, keys in any case."""
    return "schedule" in text.lower()


def read_timing(text: str) -> Timing | None:
    """Read what a text says about its schedules; None when it cannot be read."""
    if not may_schedule(text):
        return NEVER
    loaded = load(text, name="dag", metadata_only=True)
    if loaded.problems or loaded.empty:
        return None
    dag = loaded.definition.dag
    return Timing(
        start=_entries(dag.schedule.start),
        stop=_entries(dag.schedule.stop),
        restart=_entries(dag.schedule.restart),
        skip_if_successful=dag.skip_if_successful,
    )


def _entries(expressions: tuple[str, ...]) -> tuple[Entry, ...]:
    return tuple(Entry(text, parse(text)) for text in dict.fromkeys(expressions))
