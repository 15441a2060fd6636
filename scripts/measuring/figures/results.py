"""Results: what was measured, where, on which commit, and what was found.

An experiment has one file of JSON lines, with a line for each of its parts. A file is written under another name first,
so that it is never half of one. It has no path, host name or password.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from tests.process.program import ROOT

FOLDER = ROOT / "figures"
_MOST_SENTENCES = 20
_MOST_CHARACTERS = 600
_PASSWORD = re.compile(r"(\w+://[^\s:/@]+):[^\s@]+@")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure depends on beside the program. The loads are those of one minute, before and after."""

    cores: int
    memory_gib: int
    kernel: str
    python: str
    database: str = ""
    load_before: float
    load_after: float


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one part of an experiment, or one round of a benchmark, has found.

    ``counts`` are totals that add up over parts; ``samples`` are measured values, all of them, by a name with the unit.
    """

    part: int = 0
    promise: str
    experiment: str
    program: str = "dagbook"
    engine: str = ""
    fsync: str = ""
    commit: str
    program_commit: str  # the last one that changed app or migrations
    program_tree: str = ""  # the content of app, whatever commit it is in after a rebase: git rev-parse COMMIT:app
    modified: bool = False  # whether files of the program or its tests differed from the commit
    date: str
    seconds: float
    machine: Machine
    seed: int = 0
    command: str
    counts: Mapping[str, int] = {}
    samples: Mapping[str, Sequence[float]] = {}
    violation_count: int
    violations: Sequence[str] = ()  # the first of them


def shorten(sentences: Sequence[str], places: Iterable[str] = ()) -> list[str]:
    """Return the first sentences, each bounded, without the given paths, the host name and passwords."""
    hidden = [*sorted(filter(None, places), key=len, reverse=True), str(ROOT), str(Path.home()), socket.gethostname()]
    return [_shorten(sentence, hidden) for sentence in sentences[:_MOST_SENTENCES]]


def _shorten(sentence: str, hidden: Iterable[str]) -> str:
    for place in hidden:
        sentence = sentence.replace(place, "…")
    sentence = _PASSWORD.sub(r"\1@", sentence)
    # The end of a long message is the error, its beginning says whose.
    half = _MOST_CHARACTERS // 2
    return sentence if len(sentence) <= _MOST_CHARACTERS else f"{sentence[:half]} … {sentence[-half:]}"


def encode(result: Result) -> str:
    """Return a result as one line of JSON with sorted keys."""
    fields = msgspec.to_builtins(result)
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


def write(path: Path, *found: Result) -> None:
    """Write a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text("".join(map(encode, found)), encoding="utf-8")
    new.replace(path)


def add(path: Path, part: int, result: Result) -> None:
    """Add the result of a part to the file of its experiment."""
    found = read(path) | {part: msgspec.structs.replace(result, part=part)}
    write(path, *(found[number] for number in sorted(found)))


def read(path: Path) -> dict[int, Result]:
    """Read a file, if it is there: results by part. Raises msgspec.ValidationError, which names the file."""
    try:
        found = msgspec.json.Decoder(Result).decode_lines(path.read_bytes()) if path.exists() else []
    except msgspec.DecodeError as error:
        raise msgspec.ValidationError(f"{path}: {error}") from error
    return {result.part: result for result in found}


class Merged(msgspec.Struct, frozen=True):
    """The parts of an experiment together."""

    parts: Sequence[Result]

    @property
    def counts(self) -> dict[str, int]:
        """The sum of each count."""
        names = dict.fromkeys(name for part in self.parts for name in part.counts)
        return {name: sum(part.counts.get(name, 0) for part in self.parts) for name in names}

    @property
    def samples(self) -> dict[str, list[float]]:
        """All values of each sample, sorted."""
        names = dict.fromkeys(name for part in self.parts for name in part.samples)
        return {name: sorted(value for part in self.parts for value in part.samples.get(name, ())) for name in names}

    @property
    def violation_count(self) -> int:
        return sum(part.violation_count for part in self.parts)

    @property
    def violations(self) -> list[str]:
        return [sentence for part in self.parts for sentence in part.violations]

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    @property
    def commits(self) -> list[str]:
        """The commits of the program by their first parts; a mark if its files were others than committed."""
        return list(dict.fromkeys(f"{part.program_commit}{'*' * part.modified}" for part in self.parts))

    @property
    def dates(self) -> tuple[str, str]:
        """The first and the last day."""
        days = sorted(part.date[:10] for part in self.parts)
        return days[0], days[-1]

    @property
    def loads(self) -> tuple[float, float]:
        """The lowest and the highest load."""
        loads = [load for part in self.parts for load in (part.machine.load_before, part.machine.load_after)]
        return min(loads), max(loads)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that so many of the sorted values do not exceed; 0.5 is the median."""
    return values[min(int(len(values) * share), len(values) - 1)]
