"""The pages that are made of result files: a template each, with a line such as ``{{figures R1}}`` for each table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scripts.measuring.capacity import tables
from scripts.measuring.figures import metrics
from scripts.measuring.figures.plan import BENCH_PLAN, ENGINES, PLAN, REFERENCE, SUBJECTS, Planned
from scripts.measuring.figures.results import Machine, Merged, quantile, read
from tests.process.program import ROOT

TEMPLATES = Path(__file__).parent / "templates"
DOCS = ROOT / "docs" / "explanation"
PAGES = ("testing.md", "performance.md", "capacity.md")
_PLACE = re.compile(r"^\{\{(\w+)(?: (\S+))?\}\}$", re.MULTILINE)
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", REFERENCE: "reference implementation", "": "no database"}
_LIST_METRICS = ("p50_ms", "p95_ms", "cpu_per_request_ms")
_MINUTE, _HOUR = 60, 3600
_THOUSAND = 1_000
_NOTHING = "-"
_NOT_YET = "Not measured yet."
Samples = Mapping[str, Sequence[float]]


def render(name: str, folder: Path) -> str:
    """Return a page as it has to be with the result files of a folder. Raises msgspec.ValidationError."""

    def fill(place: re.Match[str]) -> str:
        return "\n".join(_BLOCKS[place[1]](folder, place[2] or ""))

    return _PLACE.sub(fill, (TEMPLATES / name).read_text(encoding="utf-8"))


def read_parts(planned: Planned, folder: Path) -> Merged:
    """Read the results of an experiment at its full size, those that are there."""
    return Merged([*read(next(planned.parts("full")).path(folder)).values()])


def _summary(folder: Path, _: str) -> Iterator[str]:
    """One row for each experiment and engine that has been measured."""
    yield "| experiment | what happens | engine | measured | violations |"
    yield "|---|---|---|---|---|"
    for planned in sorted(PLAN, key=lambda one: int(one.id[1:]) if one.id[1:].isdecimal() else len(PLAN)):
        merged = read_parts(planned, folder)
        if not merged.parts:
            continue
        subject = SUBJECTS[planned.id]
        counts = merged.counts
        shown = [f"{_number(counts[name])} {name}" for name in subject.shown if name in counts]
        part = _parts(merged, planned)
        measured = ", ".join([*shown, *([part] if part != "all" else [])])
        anchor = re.sub(r"[^\w\- ]", "", subject.heading(planned.id).lower()).replace(" ", "-")
        violations = f"**{merged.violation_count}**"
        yield f"| [{planned.id}](#{anchor}) | {subject.action} | {_NAMES[planned.engine]} | {measured} | {violations} |"


def _parts(merged: Merged, planned: Planned) -> str:
    return "all" if len(merged.parts) == planned.full.parts else f"{len(merged.parts)} of {planned.full.parts} parts"


def _figures(folder: Path, id_: str) -> Iterator[str]:
    """All that was measured in one experiment, with a column for each engine."""
    planned = [one for one in PLAN if one.id == id_]
    found = [(one, merged) for one in planned if (merged := read_parts(one, folder)).parts]
    if not found:
        yield _NOT_YET
        return
    columns = [merged for _, merged in found]
    yield _row("", (_NAMES[one.engine] for one, _ in found))
    yield "|---" * (len(found) + 1) + "|"
    yield _row("**violations**", (f"**{merged.violation_count}**" for merged in columns))
    for name in dict.fromkeys(name for merged in columns for name in merged.counts):
        yield _row(name, (_number(merged.counts[name]) if name in merged.counts else _NOTHING for merged in columns))
    for name in dict.fromkeys(name for merged in columns for name in merged.samples):
        yield _row(f"{name}: median, p95, max", (_spread(merged.samples.get(name, ())) for merged in columns))
    if any(one.engine for one, _ in found):
        yield _row("durability", (merged.parts[0].fsync for merged in columns))
    yield _row("measured", (f"{_parts(merged, one)}, in {_duration(merged.seconds)}" for one, merged in found))
    yield _row("program", (", ".join(merged.commits) for merged in columns))
    yield _row("date", (" to ".join(dict.fromkeys(merged.dates)) for merged in columns))
    yield _row("load of the machine", ("{:g} to {:g}".format(*merged.loads) for merged in columns))
    yield _row("first part", (f"`{merged.parts[0].command}`" for merged in columns))
    for one, merged in found:
        yield from _violations(one, merged, folder)


def _violations(planned: Planned, merged: Merged, folder: Path) -> Iterator[str]:
    """Show the violations of an experiment, and what is written about them."""
    if merged.violations:
        yield f"\nViolations on {_NAMES[planned.engine]}:\n"
        yield from (f"- `{' '.join(sentence.replace('`', chr(39)).split())}`" for sentence in merged.violations)
    note = folder / f"{planned.name}.md"
    if note.exists():
        yield f"\n{note.read_text(encoding='utf-8').strip()}"


def _table(rows: Callable[[Samples, Sequence[str]], Iterator[str]]) -> Callable[[Path, str], Iterator[str]]:
    """Make the block of a benchmark of ``rows``, which get its samples and the programs that were measured."""

    def block(folder: Path, id_: str) -> Iterator[str]:
        [planned] = [one for one in BENCH_PLAN if one.id == id_]
        merged = read_parts(planned, folder)
        if not merged.parts:
            yield _NOT_YET
            return
        yield from rows(merged.samples, _programs(merged))
        yield from _circumstances(planned, merged)

    return block


def _curve_rows(samples: Samples, columns: Sequence[str]) -> Iterator[str]:
    """One row for each rate of the latency curve."""
    rates = sorted({int(rate) for name in samples for rate in re.findall(r": curve\.at(\d+)\.p50_ms$", name)})
    yield _row("runs per second", (_NAMES[name] for name in columns))
    yield "|---" * (len(columns) + 1) + "|"
    for rate in rates:
        keys = [[f"{name}: curve.at{rate}.{share}_ms" for share in ("p50", "p95")] for name in columns]
        yield _row(str(rate), (" / ".join(_rounds(samples.get(key, ())) for key in pair) for pair in keys))
    yield _row("highest rate held", (_rounds(samples.get(f"{name}: curve.held_per_s", ())) for name in columns))
    for word, text in (("lost", "runs not seen"), ("not_succeeded", "runs that did not succeed")):
        pattern = re.compile(rf"curve\.at\d+\.{word}$")
        sums = [
            sum(sum(samples[key]) for key in samples if key.startswith(f"{name}: ") and pattern.search(key))
            for name in columns
        ]
        yield _row(text, (_value(found) for found in sums))


def _bench_rows(samples: Samples, columns: Sequence[str]) -> Iterator[str]:
    """One row for each metric of a benchmark."""
    yield _row("", (_NAMES[name] for name in columns))
    yield "|---" * (len(columns) + 1) + "|"
    for metric in sorted({name.partition(": ")[2] for name in samples}, key=lambda name: (metrics.order(name), name)):
        yield _row(metrics.describe(metric), (_rounds(samples.get(f"{name}: {metric}", ())) for name in columns))


def _lists_rows(samples: Samples, columns: Sequence[str]) -> Iterator[str]:
    """One row for each request at each size of the history."""
    yield _row("request | runs | DAGs", (_NAMES[name] for name in columns))
    yield "|---" * (len(columns) + 3) + "|"
    found = {
        match.groups() for name in samples if (match := re.search(r": read\.h(\d+)\.d(\d+)\.(\w+)\.p50_ms$", name))
    }
    rows = [(*metrics.describe_list(request), int(runs), int(dags), request) for runs, dags, request in found]
    for _, words, runs, dags, request in sorted(rows):
        prefix = f"read.h{runs}.d{dags}.{request}"
        yield _row(
            f"{words} | {_number(runs)} | {_number(dags)}",
            (_list_cell(samples, f"{name}: {prefix}") for name in columns),
        )
    for words, pattern in (("searches refused", r"\.search\.errors"), ("other errors", r"(?<!\.search)\.errors")):
        yield _row(f"{words} | all | all", (_value(_errors(samples, name, pattern)) for name in columns))


def _list_cell(samples: Samples, prefix: str) -> str:
    """Median and 95 %, each the median of the rounds; CPU time only if no request was refused, which costs less."""
    found = [samples.get(f"{prefix}.{metric}", ()) for metric in _LIST_METRICS]
    middle, most, cpu = (_value(quantile(values, 0.5)) if values else _NOTHING for values in found)
    return f"{middle} / {most}; {_NOTHING if any(samples.get(f'{prefix}.errors_count', ())) else cpu}"


def _errors(samples: Samples, program: str, pattern: str) -> float:
    keys = [key for key in samples if key.startswith(f"{program}: ") and re.search(pattern, key)]
    return sum(sum(samples[key]) for key in keys)


def _programs(merged: Merged) -> list[str]:
    return [name for name in (*ENGINES, REFERENCE) if any(key.startswith(f"{name}: ") for key in merged.samples)]


def _rounds(values: Sequence[float]) -> str:
    """Format the median of rounds, with the lowest and the highest unless they look the same."""
    if not values:
        return _NOTHING
    middle, lowest, highest = (_value(value) for value in (quantile(values, 0.5), values[0], values[-1]))
    return middle if lowest == highest else f"{middle} ({lowest} to {highest})"


def _circumstances(planned: Planned, merged: Merged) -> Iterator[str]:
    done = f"{len(merged.parts)} of {planned.full.parts}"
    dates, loads = " to ".join(dict.fromkeys(merged.dates)), "{:g} to {:g}".format(*merged.loads)
    programs = sorted({part.program for part in merged.parts})
    yield (
        f"\nRounds: {done}; {dates}; {', '.join(programs)}; commit {', '.join(merged.commits)}; load {loads}; "
        f"{merged.violation_count} failures; `{merged.parts[0].command}`."
    )
    yield from (f"\n- `{' '.join(sentence.split())}`" for sentence in merged.violations)


def _missing(folder: Path, _: str) -> Iterator[str]:
    """Show what is planned and has not been measured, or not wholly."""
    found = [(one, read_parts(one, folder)) for one in PLAN]
    missing = [(one, merged) for one, merged in found if _parts(merged, one) != "all"]
    if not missing:
        yield "Everything in the plan has been measured at its full size."
        return
    for one, merged in missing:
        done = (
            f"{len(merged.parts)} of {one.full.parts} parts have been measured" if merged.parts else "not measured yet"
        )
        place = f"{one.id} on {_NAMES[one.engine]}" if one.engine else one.id
        yield f"- {place}: {done}"


def _machines(folder: Path, _: str) -> Iterator[str]:
    """Show the machines of all results."""
    parts = [part for one in PLAN for part in read_parts(one, folder).parts]
    databases = sorted({part.machine.database for part in parts if part.machine.database})
    for text in sorted({_describe(part.machine) for part in parts}):
        yield f"- {text}"
    if databases:
        yield f"- databases: {', '.join(databases)}"


def _describe(machine: Machine) -> str:
    return f"{machine.cores} cores, {machine.memory_gib} GiB, {machine.kernel}, Python {machine.python}"


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _number(value: float) -> str:
    return f"{value:,}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return _NOTHING
    return ", ".join(_value(quantile(values, share)) for share in (0.5, 0.95, 1.0))


def _value(value: float) -> str:
    whole = value >= _THOUSAND or float(value).is_integer()
    return f"{value:,.0f}" if whole else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


_BLOCKS: dict[str, Callable[[Path, str], Iterator[str]]] = {
    "summary": _summary,
    "figures": _figures,
    "curve": _table(_curve_rows),
    "bench": _table(_bench_rows),
    "lists": _table(_lists_rows),
    "missing": _missing,
    "machines": _machines,
    "capacity": tables.render,
}
