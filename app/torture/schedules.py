"""Random schedules around changes of clocks: each minute due when its wall clock shows it, and once (promise R10)."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from app.scheduling.due import MINUTE, Catchup, cut, due, plan, stretch
from app.spec.timing import Timing, read_timing
from app.torture import clocks
from app.torture.trial import Progress, TortureError

SPAN = timedelta(hours=10)
STEPS = (1, 1, 1, 1, 1, 1, 1, 1, 60, -60, -1, 0)  # minutes by which a clock goes on from one look to the next
_JUMPING = 10  # of so many cases one has a clock that jumps
_MOST_TOLD = 20


class Case(msgspec.Struct, frozen=True):
    """Expressions looked at around a change of clocks, in one look or several: ``cuts`` are minutes from its begin."""

    expressions: Sequence[str]
    change: clocks.Change
    hours: int
    cuts: Sequence[int]

    def wrong(self) -> str:
        """Say how what is due differs from a walk over all minutes; empty when it does not."""
        zone, begin = ZoneInfo(self.change.zone), self.change.at + timedelta(hours=self.hours)
        timing, end = timing_of(self.expressions), begin + SPAN
        borders = [begin, *sorted(begin + minutes * MINUTE for minutes in self.cuts), end]
        found = [firing.minute for after, until in pairwise(borders) for firing in due(timing, after, until, zone)]
        expected = clocks.walk(list(self.expressions), self.change.zone, begin, end)
        return "" if found == expected else f"due at {_shown(found)} and not at {_shown(expected)}: {self}"


class Jumps(msgspec.Struct, frozen=True):
    """An expression looked at by a server whose clock goes on by these minutes from look to look."""

    expression: str
    change: clocks.Change
    steps: Sequence[int]

    def wrong(self) -> str:
        """Say what fires twice, not at all, or at another time; empty when nothing does.

        As the server does it: what has its row is left out, and every minute that was looked at had its chance.
        """
        zone, timing = ZoneInfo(self.change.zone), timing_of([self.expression])
        fired: Counter[datetime] = Counter()
        now, last, looked_at = self.change.at - 30 * MINUTE, None, set()
        for step in self.steps:
            now += step * MINUTE
            passed = stretch(last, None, now)
            if passed is None:
                continue
            handled = set(fired)
            fired.update(one.minute for one in plan(timing, Catchup(), passed, zone) if one.minute not in handled)
            last = passed.until
            looked_at.add(cut(now))
        matching = set(clocks.walk([self.expression], self.change.zone, min(looked_at) - MINUTE, max(looked_at)))
        return self._compare(fired, looked_at & matching, matching)

    def _compare(self, fired: Counter[datetime], least: set[datetime], most: set[datetime]) -> str:
        if doubled := [minute for minute, count in fired.items() if count > 1]:
            return f"twice at {_shown(doubled)}: {self}"
        if left_out := least - fired.keys():
            return f"never at {_shown(sorted(left_out))}: {self}"
        if wrong := fired.keys() - most:
            return f"wrongly at {_shown(sorted(wrong))}: {self}"
        return ""


def timing_of(expressions: Sequence[str]) -> Timing:
    """Read expressions as the schedule of a DAG."""
    found = read_timing(f"schedule: {msgspec.json.encode(expressions).decode()}\nsteps: []\n")
    if found is None:
        raise TortureError(f"no schedule: {expressions}")
    return found


def _shown(minutes: Sequence[datetime]) -> str:
    return ", ".join(f"{minute:%Y-%m-%dT%H:%MZ}" for minute in minutes[:5]) or "no time"


class Schedules:
    """So many cases, drawn by a seed; a tenth as many clocks that jump besides."""

    def __init__(self, cases: int, seed: int, tell: Callable[[str], None]) -> None:
        self._cases = cases
        self._seed = seed
        self._progress = Progress(tell)
        self._jumps = 0

    def run(self) -> list[str]:
        """Look at all of them; returns a sentence for each that is wrong, with all it takes to look at it again."""
        return list(self._find())

    def figures(self) -> Mapping[str, str]:
        """Give what was counted."""
        return {"schedules around changes of clocks": str(self._cases), "clocks that jumped": str(self._jumps)}

    def _find(self) -> Iterator[str]:
        found = 0
        for number in range(self._cases):
            self._progress(f"{number} of {self._cases} cases, {found} wrong")
            luck = random.Random(f"{self._seed} {number}")  # noqa: S311 - a seed is what makes it repeatable
            for wrong in filter(None, (one.wrong() for one in self._draw(number, luck))):
                found += 1
                if found <= _MOST_TOLD:
                    yield wrong
        if found > _MOST_TOLD:
            yield f"and {found - _MOST_TOLD} more"

    def _draw(self, number: int, luck: random.Random) -> Iterator[Case | Jumps]:
        change = luck.choice(clocks.changes(luck.choice(clocks.ZONES)))
        expressions = [_expression(luck) for _ in range(luck.randint(1, 2))]
        cuts = luck.sample(range(1, SPAN // MINUTE), luck.randint(0, 3))
        yield Case(expressions, change, luck.randint(-9, 1), cuts)
        if number % _JUMPING == 0:
            self._jumps += 1
            yield Jumps(expressions[0], change, luck.choices(STEPS, k=luck.randint(30, 90)))


def _expression(luck: random.Random) -> str:
    return " ".join(luck.choice(field) for field in clocks.FIELDS)
