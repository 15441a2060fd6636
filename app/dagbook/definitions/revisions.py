"""Use cases of a DAG's history: get, compare as unified diff, restore and redact revisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.audit_context import Action, Actor, dag_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.repositories import audit, changes, revisions
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.revisions import RevisionRow
from dagbook.definitions.diff import unified
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

    async def compare_text(self, dag: DagRow, text: str) -> str:
        """Return a unified diff of the newest revision and a text that is not saved."""
        newest = _text_of(dag, await self.get(dag, dag.revision))
        names = (f"{dag.file_name} (revision {dag.revision})", f"{dag.file_name} (not saved)")
        return await asyncio.to_thread(unified, newest, text, *names)

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
            data = changes.ChangeData(what="redacted", file_name=dag.file_name, revision=number)
            changes.add_dag_change(connection, dag.dag_name, data)

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


def _redact(connection: WriteConnection, hashes: Collection[str], by: str, entry: NewAuditEntry) -> None:
    # First the update, whose lock keeps a save from using the text; then the check for DAGs and runs that use it.
    revisions.redact(connection, hashes, by, entry.at)
    if user := revisions.find_user(connection, hashes):
        raise BadRequestError(f"DAG {shorten(user)} has this text now; save one without the secret first")
    if run := revisions.find_active_run(connection, hashes):
        raise NotRunningError(
            f"run {shorten(run.run_id)} of DAG {shorten(run.dag_name)} uses this text; "
            "stop it, or wait until it has finished"
        )
    revisions.forget_executions(connection, hashes)
    audit.add(connection, entry)


def _text_of(dag: DagRow, row: RevisionRow) -> str:
    if row.spec is None:
        raise BadRequestError(
            f"revision {row.number} of DAG {shorten(dag.file_name)} was redacted: its text is deleted"
        )
    return str(row.spec)


def _unknown(dag: DagRow, number: int) -> NotFoundError:
    return NotFoundError(f"DAG {shorten(dag.file_name)} has no revision {shorten(str(number))}")
