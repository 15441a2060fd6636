"""Use cases of a DAG's history: get, compare as unified diff, restore and redact revisions."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from difflib import unified_diff
from typing import Any

import msgspec

from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, revisions
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.revisions import RevisionRow
from dagbook.definitions.service import Definitions, SaveContext, SaveResult
from dagbook.errors import BadRequestError, NotFoundError, NotRunningError
from dagbook.identifiers import shorten
from dagbook.spec.reading.definition_cache import DefinitionCache

_ANONYMOUS = "anonymous"


class Revisions:
    """Use cases of revisions of stored DAGs; ``dag`` is a DAG's row everywhere."""

    def __init__(
        self, database: Database, library: DefinitionCache, definitions: Definitions, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._library = library
        self._definitions = definitions
        self._now = now

    async def get(self, dag: DagRow, number: int) -> RevisionRow:
        """Return a revision with its text, None if it was redacted; raises NotFoundError."""
        return (await self._find(dag, [number]))[number]

    async def compare(self, dag: DagRow, old: int, new: int) -> str:
        """Return a unified diff; raises NotFoundError, and BadRequestError if one of the texts was redacted."""
        found = await self._find(dag, [old, new])
        texts = [_text_of(dag, found[number]) for number in (old, new)]
        names = [f"{dag.file_name} (revision {number})" for number in (old, new)]
        return await asyncio.to_thread(unified, *texts, *names)

    async def restore(self, dag: DagRow, number: int, context: SaveContext) -> SaveResult:
        """Save the text of an earlier revision again; raises NotFoundError and what a save raises."""
        row = await self.get(dag, number)
        context = msgspec.structs.replace(context, note=context.note or f"restores revision {number}", restores=number)
        return await self._definitions.save(dag.file_name, _text_of(dag, row), context)

    async def redact(self, dag: DagRow, number: int, actor: Actor) -> RevisionRow:
        """Remove a text from all definitions with it, permanently; idempotent.

        Raises NotFoundError, BadRequestError if a stored DAG has this text now, and NotRunningError if an active run
        uses it.
        """
        row = await self.get(dag, number)
        text = row.spec
        if text is None:
            return row
        hashes = await self._database.read(lambda connection: revisions.find_same_text(connection, text))
        after = {"revision": number, "hashes": sorted(hashes)}
        entry = actor.entry(dag_action(Action.DAG_REDACT, dag.file_name, after=after), self._now())

        def work(connection: WriteConnection) -> None:
            _redact(connection, hashes, actor.label or _ANONYMOUS, entry)
            named = {"file_name": dag.file_name, "revision": number}
            changes.add_dag_change(connection, dag.dag_name, "redacted", **named)

        await self._database.write(work)
        self._library.evict(hashes)
        return await self.get(dag, number)

    async def _find(self, dag: DagRow, numbers: Collection[int]) -> dict[int, RevisionRow]:
        for number in numbers:
            if not 1 <= number <= dag.revision:
                raise _unknown(dag, number)
        found = await self._database.read_inline(lambda connection: revisions.find(connection, dag.id, numbers))
        for number in numbers:
            if number not in found:  # the DAG was deleted meanwhile
                raise _unknown(dag, number)
        return found


def _redact(connection: WriteConnection, hashes: Collection[str], by: str, entry: dict[str, Any]) -> None:
    # First the update, whose lock keeps a save from using the text; then the check for DAGs and runs that use it.
    revisions.redact(connection, hashes, by, entry["at"])
    if user := revisions.find_user(connection, hashes):
        raise BadRequestError(f"DAG {shorten(user)} has this text now; save one without the secret first")
    if run := revisions.find_active_run(connection, hashes):
        raise NotRunningError(
            f"run {shorten(run.run_id)} of DAG {shorten(run.dag_name)} uses this text; "
            "stop it, or wait until it has finished"
        )
    audit.add(connection, entry)


def _text_of(dag: DagRow, row: RevisionRow) -> str:
    if row.spec is None:
        raise BadRequestError(
            f"revision {row.number} of DAG {shorten(dag.file_name)} was redacted: its text is deleted"
        )
    return str(row.spec)


def _unknown(dag: DagRow, number: int) -> NotFoundError:
    return NotFoundError(f"DAG {shorten(dag.file_name)} has no revision {shorten(str(number))}")


_CONTEXT = 3
_MAX_WORK = 4_000_000  # worst-case steps of the comparison: about a second
_UNENDED = "\n\\ No newline at end of file\n"
_LINE_NUMBER = re.compile(r"(?<=[-+])[0-9]+")


def unified(old: str, new: str, old_name: str, new_name: str) -> str:
    """Return a diff that ``patch`` reads; empty if the texts are equal.

    Texts that would take long to compare are shown as one change from the first different line to the last.
    """
    before, after = _lines(old), _lines(new)
    if before == after:
        return ""
    first, last = _same_ends(before, after)
    skipped = max(first - _CONTEXT, 0)
    cut = max(last - _CONTEXT, 0)
    before, after = before[skipped : len(before) - cut], after[skipped : len(after) - cut]
    # An upper bound of difflib's steps: it visits all pairs of equal lines, once for each block it finds.
    counts = Counter(after)
    work = (len(before) + sum(counts[line] for line in before)) * min(len(before), len(after))
    compare = unified_diff if work <= _MAX_WORK else _one_change
    lines = compare(before, after, old_name, new_name)
    return "".join(_adjusted(line, skipped) for line in lines)


def _lines(text: str) -> list[str]:
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _same_ends(before: Sequence[str], after: Sequence[str]) -> tuple[int, int]:
    """Count the equal lines at the start, and of the rest those at the end."""
    most = min(len(before), len(after))
    first = next((index for index in range(most) if before[index] != after[index]), most)
    most -= first
    last = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    return first, last


def _one_change(before: Sequence[str], after: Sequence[str], old_name: str, new_name: str) -> Iterator[str]:
    first, last = _same_ends(before, after)
    yield f"--- {old_name}\n"
    yield f"+++ {new_name}\n"
    yield f"@@ -1,{len(before)} +1,{len(after)} @@\n"
    yield from (f" {line}" for line in before[:first])
    yield from (f"-{line}" for line in before[first : len(before) - last])
    yield from (f"+{line}" for line in after[first : len(after) - last])
    yield from (f" {line}" for line in before[len(before) - last :])


def _adjusted(line: str, skipped: int) -> str:
    """Adjust line numbers to the complete text, and mark a last line without an end."""
    if line.startswith("@@"):
        return _LINE_NUMBER.sub(lambda number: str(int(number[0]) + skipped), line)
    return line if line.endswith("\n") else line + _UNENDED
