"""What becomes of an experiment that was run: a result file, if one is wanted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.measuring.figures import facts, results
from tests.chaos.experiment import Figures
from tests.chaos.sandbox import Sandbox


class Recording:
    """Takes the facts of the machine before an experiment, and writes the result after it.

    Without ``path`` it writes nothing.
    """

    def __init__(self, promise: str, title: str, seed: int, path: Path | None) -> None:
        self.title = title
        self.seed = seed
        self._promise = promise
        self._path = path
        self._load = facts.load()
        # Before: a checkout may be updated meanwhile.
        self._commit = facts.read_commit() if path else None
        self._database, self._fsync = "", ""
        self._places: list[str] = []

    def read_database(self, sandbox: Sandbox) -> None:
        """Read the version and the durability of the database."""
        self._database, self._fsync = facts.read_database(sandbox.url, sandbox.directory)
        self._places.append(str(sandbox.directory))

    def write(self, figures: Figures, violations: Sequence[str], seconds: float) -> None:
        """Write the result file."""
        if self._path is None or self._commit is None:
            return
        experiment = self.title.partition(",")[0]
        result = results.Result(
            promise=self._promise,
            experiment=experiment,
            engine=self._database.partition(" ")[0].lower(),
            fsync=self._fsync,
            **self._commit._asdict(),
            date=facts.now(),
            seconds=round(seconds, 1),
            machine=facts.describe_machine(self._database, self._load),
            seed=self.seed,
            command=facts.describe_command("scripts/chaos", sys.argv[1:], self.seed),
            counts=figures.counts,
            samples={name: sorted(round(value, 3) for value in values) for name, values in figures.samples.items()},
            violation_count=len(violations),
            violations=results.shorten(violations, self._places),
        )
        results.write(self._path, result)
