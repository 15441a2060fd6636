"""What a sync has to do: the difference between the files of a source and the rows of the last sync. Pure.

A file's DAG has the name of its path without extension, with dots for slashes. Of several files with one name the one
that has the DAG keeps it, else the first by path gets it, so that a sync that was interrupted comes to the same end.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from dagbook.db.repositories.sources import FileProblem, SourceFileRow, TakenName, Target
from dagbook.identifiers import LONGEST_NAME, is_name, shorten
from dagbook.spec.reading.definition_cache import hash_of
from dagbook.spec.reading.load import Loaded

SUFFIXES = (".yaml", ".yml")
_MAX_PROBLEMS = 20  # of one file that are stored
_LONGEST_MESSAGE = 500  # characters
NO_DEFINITION = FileProblem(0, "there is no definition in this file; write at least steps, or remove it")


class TreeFile(msgspec.Struct, frozen=True):
    """A file of a source; ``content`` identifies its content, ``problem`` is why it cannot be a definition."""

    path: str
    content: str = ""
    problem: FileProblem | None = None


class Listing(msgspec.Struct, frozen=True):
    """The files of a source, and the directories whose files are not known, because they could not be read."""

    files: Sequence[TreeFile]
    unknown: Sequence[str] = ()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """Name and directory of the source, the time, and after how many days the DAG of a removed file is deleted.

    ``adopts``: the source takes stored DAGs over that have the names of its files. ``broken`` has the files, by path
    and content, whose problems this process has found and stored already.
    """

    source: str
    directory: str
    now: datetime
    remove_days: int = 0
    adopts: bool = False
    broken: Collection[tuple[str, str]] = ()

    def directory_of(self, path: str) -> str:
        """Return the directory of a file."""
        return posixpath.join(self.directory, posixpath.dirname(path)).rstrip("/") or "/"


class ToRead(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose text has to be read: a new or changed one, or one that is back.

    ``replaces`` is the path that the DAG had before. ``is_strange`` says that the DAG belongs to no source, so only an
    equal text is linked to it.
    """

    file: TreeFile
    name: str
    directory: str
    target: Target | None = None
    row: SourceFileRow | None = None
    replaces: str = ""
    is_strange: bool = False


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A file with problems; its DAG keeps its last revision."""

    file: TreeFile
    problems: tuple[FileProblem, ...]
    row: SourceFileRow | None = None


class Removal(msgspec.Struct, frozen=True):
    """A file that is gone: its DAG is suspended, and deleted when ``expired``; without a DAG its row is deleted."""

    row: SourceFileRow
    expired: bool = False


class Plan(msgspec.Struct, frozen=True):
    """All that a sync has to do."""

    to_read: Sequence[ToRead]
    refusals: Sequence[Refusal]
    removals: Sequence[Removal]


class Text(msgspec.Struct, frozen=True):
    """The content of a file, as it was read for this sync: its text, or why there is none."""

    content: str
    text: str = ""
    problem: FileProblem | None = None


class Storing(msgspec.Struct, frozen=True, kw_only=True):
    """A text to store; ``saves`` is false if the DAG has it already."""

    read: ToRead
    text: Text
    loaded: Loaded
    saves: bool

    @property
    def file(self) -> TreeFile:
        """The file that the text is from."""
        return self.read.file


def plan(listing: Listing, rows: Sequence[SourceFileRow], taken: Mapping[str, TakenName], terms: Terms) -> Plan:
    """Compare the files of a source with its rows; ``taken`` are stored DAGs by the names of the files."""
    known = {row.path: row for row in rows}
    to_read: list[ToRead] = []
    refusals: list[Refusal] = []
    replaced: set[str] = set()
    for file, found in _assign(listing, rows, taken, terms):
        row = known.get(file.path)
        if isinstance(found, FileProblem):
            if row is None or row.problems != (found,) or row.content != file.content or row.removed_at is not None:
                refusals.append(Refusal(file=file, problems=(found,), row=row))
        elif found.replaces or not _is_current(file, row, found.directory, terms):
            to_read.append(found)
            replaced.add(found.replaces)
    present = {file.path for file in listing.files} | replaced
    removals = []
    for row in rows:
        if row.path in present or _is_below(row.path, listing.unknown):
            continue
        if row.dag_id is None or row.removed_at is None:
            removals.append(Removal(row))
        elif terms.remove_days and row.removed_at + timedelta(days=terms.remove_days) <= terms.now:
            removals.append(Removal(row, expired=True))
    return Plan(to_read, refusals, removals)


def names_of(listing: Listing) -> list[str]:
    """Return the names that the DAGs of the files would have."""
    return sorted({name for file in listing.files if is_name(name := _name_of(file.path))})


def settle(read: ToRead, text: Text, loaded: Loaded) -> Storing | Refusal:
    """Decide what becomes of a text that was read; ``loaded`` is its definition."""
    file = TreeFile(read.file.path, text.content)
    problems = find_problems(text, loaded)
    same = read.target is not None and read.target.dag_hash == hash_of(text.text)
    if not problems and read.is_strange and not same:
        problems = (_clash(read.name, "which is not of a source; rename or delete it, or let the source adopt it"),)
    if problems:
        return Refusal(file=file, problems=problems, row=read.row)
    return Storing(read=read, text=text, loaded=loaded, saves=not same)


def find_problems(text: Text, loaded: Loaded) -> tuple[FileProblem, ...]:
    """Return the problems of a text, at most 20."""
    if text.problem is not None:
        return (text.problem,)
    if loaded.empty:
        return (NO_DEFINITION,)
    found = []
    for problem in loaded.problems[:_MAX_PROBLEMS]:
        message = str(msgspec.structs.replace(problem, line=0)).replace("\0", "\N{REPLACEMENT CHARACTER}")
        cut = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
        found.append(FileProblem(problem.line, cut))
    left = len(loaded.problems) - len(found)
    return (*found, FileProblem(0, f"{left} more problems")) if left else tuple(found)


def _name_of(path: str) -> str:
    return posixpath.splitext(path)[0].replace("/", ".")


def _name_problem(name: str) -> FileProblem | None:
    if len(name) > LONGEST_NAME:
        message = (
            f"the name {shorten(name)} has {len(name)} characters, {LONGEST_NAME} are the most; use a shorter path"
        )
        return FileProblem(0, message)
    if not is_name(name) or name.endswith(SUFFIXES):
        return FileProblem(0, f"{shorten(name)} is not a DAG name; use letters, digits, '-', '_' and '.' in the path")
    return None


def _clash(name: str, owner: str) -> FileProblem:
    return FileProblem(0, f"a DAG named {shorten(name)} exists already, {owner}")


def _assign(
    listing: Listing, rows: Sequence[SourceFileRow], taken: Mapping[str, TakenName], terms: Terms
) -> Iterator[tuple[TreeFile, ToRead | FileProblem]]:
    """Yield each file with what is to be read, or the problem why it gets no DAG."""
    known = {row.path: row for row in rows}
    owners = {row.file_name: row for row in rows if row.file_name is not None}
    present = {file.path for file in listing.files}
    candidates: dict[str, list[TreeFile]] = defaultdict(list)
    for file in sorted(listing.files, key=lambda file: file.path):
        problem = file.problem or _name_problem(_name_of(file.path))
        if problem is not None:
            yield file, problem
        else:
            candidates[_name_of(file.path)].append(file)
    for name, files in candidates.items():
        owner = owners.get(name)
        is_kept = owner is not None and (owner.path in present or _is_below(owner.path, listing.unknown))
        winner = owner.path if owner is not None and is_kept else files[0].path
        for file in files:
            if file.path != winner:
                yield file, _clash(name, f"from the file {shorten(winner)}; rename one of the two")
                continue
            yield file, _to_read(file, name, known.get(file.path), owner, taken.get(name), terms)


def _to_read(
    file: TreeFile,
    name: str,
    row: SourceFileRow | None,
    owner: SourceFileRow | None,
    taken: TakenName | None,
    terms: Terms,
) -> ToRead | FileProblem:
    read = ToRead(file=file, name=name, directory=terms.directory_of(file.path), row=row)
    if owner is not None:
        moved = owner.path if owner.path != file.path else ""
        return msgspec.structs.replace(read, target=owner.target, row=owner, replaces=moved)
    if taken is None:
        return read
    if taken.source is not None:
        return _clash(name, f"from the source {shorten(taken.source)}; rename the file in one of the two")
    return msgspec.structs.replace(read, target=taken.target, is_strange=not terms.adopts)


def _is_current(file: TreeFile, row: SourceFileRow | None, directory: str, terms: Terms) -> bool:
    if row is None or row.content != file.content or row.removed_at is not None:
        return False
    if row.problems:
        return (file.path, file.content) in terms.broken
    return row.dag_hash is not None and row.dag_hash == row.definition_hash and row.source_directory == directory


def _is_below(path: str, directories: Sequence[str]) -> bool:
    return any(path == directory or path.startswith(f"{directory}/") or not directory for directory in directories)
