"""Files are written with pauses shorter and longer than they have to rest, replaced and renamed (FB5).

Each state of a file has a size of its own, which its run is given.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.chaos.experiment import Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers import files, inbox
from tests.process.server import Server

_WRITERS = 16
_MOST_STATES = 4
_SHORT, _LONG = (0.1, 0.7), (1.5, 4.0)  # pauses, as multiples of settle
_MARGIN_SECONDS = 12.0  # in which what rests is seen for sure: looks are 10 s apart


class GrowingPlan(NamedTuple):
    files: int
    seed: int
    settle: float = 1.0


class _State(NamedTuple):
    """A content of a file: when it was there, and when it was no more."""

    path: str
    size: int
    since: float
    until: float


class GrowingExperiment:
    def __init__(self, sandbox: Sandbox, plan: GrowingPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._server = Server(sandbox.directory / "home", sandbox.url)
        self._inbox = sandbox.directory / "inbox"
        self._inbox.mkdir()
        self._witness = Witness(sandbox.directory / "witness")
        self._random = random.Random(plan.seed)
        self._sizes = count(1)
        self._progress = Progress(show)
        self._states: list[_State] = []

    def run(self) -> list[str]:
        try:
            return list(self._run(self._server.start()))
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        final = sum(state.until == float("inf") for state in self._states)
        counts = {"contents": len(self._states), "contents that stayed": final, "runs": len(self._witness.lines())}
        return Figures(counts)

    def _run(self, server: Server) -> Iterator[str]:
        inbox.store_dags(server.api, self._witness.path)
        files.add_watch(server.api, f"{self._inbox}/*.csv", self._plan.settle)
        self._progress.now(f"{self._plan.files} files are written")
        with ThreadPoolExecutor(_WRITERS) as pool:
            for states in pool.map(self._write, range(self._plan.files)):
                self._states += states
        time.sleep(self._plan.settle + _MARGIN_SECONDS)  # in which nothing more may be seen than the last contents
        inbox.wait_until_settled(server.database_url)
        yield from self._violations()
        ran = Counter(words[0] for words in self._witness.lines())
        yield from files.find_violations(server.database_url, ran, self._witness)

    def _write(self, number: int) -> list[_State]:
        """Give a file some contents one after the other; returns these."""
        path, states = self._inbox / f"file-{number}.csv", list[_State]()
        for _ in range(self._random.randint(1, _MOST_STATES)):
            since = time.time()
            is_renamed = bool(states) and self._random.random() < 1 / _MOST_STATES
            if is_renamed:
                size, target = states[-1].size, path.with_name(f"renamed-{path.name}")
                path = path.rename(target)
            else:
                size = self._put(path, replaces=self._random.random() < 1 / 2)
            changed = time.time()
            if states:
                states[-1] = states[-1]._replace(until=changed)
            states.append(_State(str(path), size, since, float("inf")))
            shortest, longest = self._random.choice((_SHORT, _LONG))
            # The pause of a writer is what is tried.
            time.sleep(self._random.uniform(shortest, longest) * self._plan.settle)
        return states

    def _put(self, path: Path, *, replaces: bool) -> int:
        """Give a file a content of a size that no other one has."""
        size = next(self._sizes)
        if replaces:
            new = path.with_suffix(".part")
            new.write_bytes(b"x" * size)
            new.replace(path)
        else:
            with path.open("r+b" if path.exists() else "wb") as file:
                file.truncate(size)
        return size

    def _violations(self) -> Iterator[str]:
        ran = Counter((words[0], int(words[1])) for words in self._witness.lines())
        known = {(state.path, state.size): state for state in self._states}
        for (path, size), times in ran.items():
            state, name = known.get((path, size)), Path(path).name
            if state is None:
                yield f"{name} has started with {size} bytes, which it never had"
            elif state.until - state.since < self._plan.settle:
                yield f"{name} has started with {size} bytes, which it had for {state.until - state.since:.2f} s"
            if times > 1:
                yield f"{name} has started {times} times with {size} bytes"
        for state in self._states:
            if state.until == float("inf") and not ran[state.path, state.size]:
                yield f"lost: {Path(state.path).name} has {state.size} bytes, and has not started with them"
