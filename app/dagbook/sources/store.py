"""Storing what a sync has decided: revisions, suspensions and the rows of files, each with its audit entry."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from dagbook.auth.audit_context import Action, Actor, Values, dag_action
from dagbook.db.database import WriteConnection
from dagbook.db.repositories import audit, changes, dags, sources
from dagbook.db.repositories.dags import Suspension
from dagbook.db.repositories.definitions import DefinitionRow, TextRedactedError
from dagbook.db.repositories.sources import FileProblem, FileState, SourceFileRow, SourceRow
from dagbook.sources.plan import Refusal, Removal, Storing
from dagbook.spec.reading.definition_cache import hash_of

VIA = "source"
_LONGEST_NOTE, _LONGEST_AUTHOR = 1_000, 200
_REDACTED = FileProblem(0, "this text was redacted because of its content; remove that")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed a file, why, and by which commit."""

    author: str
    note: str
    commit: str | None = None


class Stored(msgspec.Struct, frozen=True):
    """A decision, and the change that it stores."""

    decided: Storing | Refusal | Removal
    change: Change


class SyncCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of DAGs that a sync created, saved, suspended and deleted, and of files with new problems."""

    created: int = 0
    saved: int = 0
    suspended: int = 0
    deleted: int = 0
    broken: int = 0

    def __add__(self, other: SyncCounts) -> SyncCounts:
        """Add the numbers."""
        names = self.__struct_fields__
        return SyncCounts(**{name: getattr(self, name) + getattr(other, name) for name in names})


def apply(connection: WriteConnection, source: SourceRow, batch: Sequence[Stored], at: datetime) -> SyncCounts:
    """Store a batch; what another process has changed since it was planned is left to the next sync."""
    writer, counts = _Writer(connection, source, at), SyncCounts()
    for one in batch:
        match one.decided:
            case Storing() as storing:
                counts += writer.store(storing, one.change)
            case Refusal() as refusal:
                counts += writer.refuse(refusal, one.change)
            case Removal() as removal:
                counts += writer.remove(removal)
            case _:
                assert_never(one.decided)
    return counts


class _Writer:
    def __init__(self, connection: WriteConnection, source: SourceRow, at: datetime) -> None:
        self._connection = connection
        self._source = source
        self._at = at
        self._actor = Actor(via=VIA, actor=source.name)

    def store(self, storing: Storing, change: Change) -> SyncCounts:
        """Store a text as a DAG or its next revision, and link the file to it."""
        read, target = storing.read, storing.read.target
        try:
            number = self._save(storing, change) if storing.saves else target and target.revision
        except TextRedactedError:
            return self.refuse(Refusal(file=read.file, problems=(_REDACTED,), row=read.row), change)
        dag_id = sources.get_dag_id(self._connection, read.name)
        if number is None or dag_id is None:
            return SyncCounts()
        sources.set_directory(self._connection, dag_id, read.directory)
        self._resume(read.row, read.name)
        state = FileState(
            path=read.file.path,
            content=storing.text.content,
            dag_id=dag_id,
            definition_hash=hash_of(storing.text.text),
            source_commit=change.commit,
        )
        if read.replaces:
            sources.remove_files(self._connection, self._source.id, [read.replaces])
        sources.put_file(self._connection, self._source.id, state, self._at)
        if not storing.saves:
            return SyncCounts()
        return SyncCounts(created=1) if target is None else SyncCounts(saved=1)

    def _save(self, storing: Storing, change: Change) -> int | None:
        """Return the number of the stored revision; None if the DAG is not that of the plan any more."""
        name, target = storing.read.name, storing.read.target
        dag = storing.loaded.definition.dag
        save = dags.Save(
            file_name=name,
            dag_name=dag.name or name,
            tags=dag.tags,
            definition=DefinitionRow.of(storing.text.text, "", self._at),
            author=_storable(change.author, _LONGEST_AUTHOR),
            note=_storable(change.note, _LONGEST_NOTE) or None,
            source_commit=change.commit,
            expected=None if target is None else [target.revision],
            at=self._at,
        )
        if target is None:
            number = 1 if dags.add(self._connection, save) else None
        else:
            number = dags.replace(self._connection, save)
        if number is not None:
            before = None if target is None else _revision(target.revision, target.dag_hash)
            after = {**_revision(number, save.definition.hash), "commit": change.commit}
            self._record(Action.DAG_CREATE if target is None else Action.DAG_UPDATE, name, before, after)
        return number

    def refuse(self, refusal: Refusal, change: Change) -> SyncCounts:
        """Store the problems of a file; its DAG keeps its last revision."""
        row = refusal.row
        if row is not None and row.file_name is not None:
            self._resume(row, row.file_name)
            name = dags.get_dag_name(self._connection, row.file_name)
            data = changes.ChangeData(what="configured", file_name=row.file_name)
            changes.add_dag_change(self._connection, name or row.file_name, data)
        state = FileState(
            path=refusal.file.path,
            content=refusal.file.content,
            dag_id=None if row is None else row.dag_id,
            definition_hash=None if row is None else row.definition_hash,
            source_commit=change.commit,
            problems=refusal.problems,
        )
        if row is not None and row.path != state.path:
            sources.remove_files(self._connection, self._source.id, [row.path])
        sources.put_file(self._connection, self._source.id, state, self._at)
        return SyncCounts(broken=1)

    def remove(self, removal: Removal) -> SyncCounts:
        """Suspend the DAG of a removed file, or delete it when its time is up."""
        row = removal.row
        if row.file_name is None or removal.expired:
            sources.remove_files(self._connection, self._source.id, [row.path])
            gone = None if row.file_name is None else dags.remove(self._connection, row.file_name)
            if gone is None or row.file_name is None:
                return SyncCounts()
            before = {"dagName": gone.dag_name, **_revision(gone.revision, gone.definition_hash)}
            self._record(Action.DAG_DELETE, row.file_name, before, None)
            return SyncCounts(deleted=1)
        was = dags.suspend(self._connection, row.file_name, Suspension())
        if was is None:  # it has been deleted since the plan was made
            return SyncCounts()
        state = FileState(
            path=row.path,
            content="",
            dag_id=row.dag_id,
            definition_hash=row.definition_hash,
            source_commit=row.source_commit,
            removed_at=self._at,
            resumes=not was.suspended,
        )
        sources.put_file(self._connection, self._source.id, state, self._at)
        if not was.suspended:
            self._record(Action.DAG_SUSPEND, row.file_name, {"suspended": False}, {"suspended": True})
        return SyncCounts(suspended=1)

    def _resume(self, row: SourceFileRow | None, file_name: str) -> None:
        """Resume a DAG that was suspended because its file had been removed."""
        if row is None or not row.resumes:
            return
        before = dags.suspend(self._connection, file_name, Suspension(suspended=False))
        if before is not None and before.suspended:
            self._record(Action.DAG_SUSPEND, file_name, {"suspended": True}, {"suspended": False})

    def _record(self, action: Action, name: str, before: Values, after: Values) -> None:
        audit.add(self._connection, self._actor.entry(dag_action(action, name, before, after), self._at))


def _revision(number: int, content_hash: str) -> dict[str, object]:
    return {"revision": number, "hash": content_hash}


def _storable(text: str, longest: int) -> str:
    plain = text.replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
