"""Random schedules around clock changes: each minute is due when its wall clock shows it, and once (promise R10)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from dagbook.scheduling.due import MINUTE, Catchup, due, floor_minute, plan, time_window
from dagbook.spec.time.schedule import ParsedSchedule, read_schedule
from tests.chaos import clocks
from tests.chaos.experiment import ExperimentError, Figures, Progress

SPAN = timedelta(hours=10)
STEPS = (1, 1, 1, 1, 1, 1, 1, 1, 60, -60, -1, 0)  # minutes by which a clock advances from one tick to the next
_JUMP_EVERY = 10  # every tenth case has a clock that jumps
_MOST_SHOWN = 20


class ScheduleCase(msgspec.Struct, frozen=True):
    """Expressions around a clock change, in one time window or several: ``cuts`` are minutes from its begin."""

    expressions: Sequence[str]
    change: clocks.ClockChange
    hours: int
    cuts: Sequence[int]

    def wrong(self) -> str:
        """Describe how the due minutes differ from a walk over all minutes; empty when they do not."""
        zone, begin = ZoneInfo(self.change.zone), self.change.at + timedelta(hours=self.hours)
        timing, end = timing_of(self.expressions), begin + SPAN
        borders = [begin, *sorted(begin + minutes * MINUTE for minutes in self.cuts), end]
        found = [firing.minute for after, until in pairwise(borders) for firing in due(timing, after, until, zone)]
        expected = clocks.walk(list(self.expressions), self.change.zone, begin, end)
        return "" if found == expected else f"due at {_shown(found)} and not at {_shown(expected)}: {self}"


class ClockJumpCase(msgspec.Struct, frozen=True):
    """An expression on a server whose clock advances by these minutes from tick to tick."""

    expression: str
    change: clocks.ClockChange
    steps: Sequence[int]

    def wrong(self) -> str:
        """Describe what is due twice, never or at a wrong time; empty when nothing is.

        As in the server, what has a row is left out, and every minute of a tick must have been due.
        """
        zone, timing = ZoneInfo(self.change.zone), timing_of([self.expression])
        fired: Counter[datetime] = Counter()
        now, last, ticked = self.change.at - 30 * MINUTE, None, set()
        for step in self.steps:
            now += step * MINUTE
            window = time_window(last, None, now)
            if window is None:
                continue
            handled = set(fired)
            fired.update(one.minute for one in plan(timing, Catchup(), window, zone) if one.minute not in handled)
            last = window.until
            ticked.add(floor_minute(now))
        matching = set(clocks.walk([self.expression], self.change.zone, min(ticked) - MINUTE, max(ticked)))
        return self._compare(fired, ticked & matching, matching)

    def _compare(self, fired: Counter[datetime], least: set[datetime], most: set[datetime]) -> str:
        if doubled := [minute for minute, count in fired.items() if count > 1]:
            return f"twice at {_shown(doubled)}: {self}"
        if left_out := least - fired.keys():
            return f"never at {_shown(sorted(left_out))}: {self}"
        if wrong := fired.keys() - most:
            return f"wrongly at {_shown(sorted(wrong))}: {self}"
        return ""


def timing_of(expressions: Sequence[str]) -> ParsedSchedule:
    """Read expressions as the schedule of a DAG."""
    found = read_schedule(f"schedule: {msgspec.json.encode(expressions).decode()}\nsteps: []\n")
    if not found.is_valid:
        raise ExperimentError(f"no schedule: {expressions}")
    return found


def _shown(minutes: Sequence[datetime]) -> str:
    return ", ".join(f"{minute:%Y-%m-%dT%H:%MZ}" for minute in minutes[:5]) or "no time"


class ScheduleExperiment:
    """Cases drawn by a seed, and a tenth as many clocks that jump."""

    def __init__(self, cases: int, seed: int, show: Callable[[str], None] = lambda _: None) -> None:
        self._cases = cases
        self._seed = seed
        self._progress = Progress(show)
        self._jumps = 0

    def run(self) -> list[str]:
        """Run all cases; each sentence returned has all that is needed to repeat its case."""
        return list(self._find())

    def figures(self) -> Figures:
        return Figures({"schedules around clock changes": self._cases, "clocks that jumped": self._jumps})

    def _find(self) -> Iterator[str]:
        found = 0
        for number in range(self._cases):
            self._progress(f"{number} of {self._cases} cases, {found} wrong")
            chance = random.Random(f"{self._seed} {number}")
            for wrong in filter(None, (one.wrong() for one in self._draw(number, chance))):
                found += 1
                if found <= _MOST_SHOWN:
                    yield wrong
        if found > _MOST_SHOWN:
            yield f"and {found - _MOST_SHOWN} more"

    def _draw(self, number: int, chance: random.Random) -> Iterator[ScheduleCase | ClockJumpCase]:
        change = chance.choice(clocks.changes(chance.choice(clocks.ZONES)))
        expressions = [_expression(chance) for _ in range(chance.randint(1, 2))]
        cuts = chance.sample(range(1, SPAN // MINUTE), chance.randint(0, 3))
        yield ScheduleCase(expressions, change, chance.randint(-9, 1), cuts)
        if number % _JUMP_EVERY == 0:
            self._jumps += 1
            yield ClockJumpCase(expressions[0], change, chance.choices(STEPS, k=chance.randint(30, 90)))


def _expression(chance: random.Random) -> str:
    return " ".join(chance.choice(field) for field in clocks.FIELDS)
