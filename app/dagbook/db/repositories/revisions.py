"""Saved revisions of DAGs, with their texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision, Definition
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.engine.status import RunStatus

_ACTIVE = (RunStatus.NOT_STARTED, RunStatus.RUNNING, RunStatus.QUEUED)


class RevisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A revision; ``spec`` is read by ``find`` only, and None when it was redacted."""

    number: int
    definition_hash: str
    author: str | None
    note: str | None
    source_commit: str | None
    saved_at: datetime
    redacted_at: datetime | None
    redacted_by: str | None
    spec: str | None = None


_columns = (*columns(DagRevision, RevisionRow), Definition.redacted_at, Definition.redacted_by)


class RunName(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a run."""

    dag_name: str
    run_id: str


def find_page(connection: ReadConnection, dag: int, *, newest: int, limit: int) -> Sequence[RevisionRow]:
    """Return a DAG's revisions without texts, from number ``newest`` downwards."""
    statement = (
        select(*_columns)
        .join(Definition, Definition.hash == DagRevision.definition_hash)
        .where(DagRevision.dag_id == dag, DagRevision.number <= newest)
        .order_by(DagRevision.number.desc())
        .limit(limit)
    )
    return all_rows(connection, RevisionRow, statement)


def find(connection: ReadConnection, dag: int, numbers: Collection[int]) -> dict[int, RevisionRow]:
    """Return, by number, revisions of a DAG with their texts; a text is None when it was redacted."""
    statement = (
        select(*_columns, Definition.spec)
        .join(Definition, Definition.hash == DagRevision.definition_hash)
        .where(DagRevision.dag_id == dag, DagRevision.number.in_(numbers))
    )
    return {row.number: row for row in all_rows(connection, RevisionRow, statement)}


def find_same_text(connection: ReadConnection, spec: str) -> list[str]:
    """Return the hashes of all definitions with this text and any base; scans all definitions."""
    return list(connection.execute(select(Definition.hash).where(Definition.spec == spec)).scalars())


def redact(connection: WriteConnection, hashes: Collection[str], by: str, at: datetime) -> None:
    """Delete the texts of those definitions that are not redacted yet."""
    connection.execute(
        update(Definition)
        .where(Definition.hash.in_(hashes), Definition.redacted_at.is_(None))
        .values(spec=None, redacted_at=at, redacted_by=by)
    )


def forget_executions(connection: WriteConnection, hashes: Collection[str]) -> None:
    """Delete what the runs with these definitions have stored of the evaluated texts for readers."""
    of_runs = select(Run.id).where(Run.definition_hash.in_(hashes))
    connection.execute(update(Node).where(Node.run_id.in_(of_runs), Node.ran.is_not(None)).values(ran=None))


def find_user(connection: ReadConnection, hashes: Collection[str]) -> str | None:
    """Return the file name of a stored DAG whose current definition is one of these."""
    return connection.execute(select(Dag.file_name).where(Dag.definition_hash.in_(hashes)).limit(1)).scalar()


def find_active_run(connection: ReadConnection, hashes: Collection[str]) -> RunName | None:
    """Return name and id of an unfinished run with one of these definitions."""
    conditions = (Run.definition_hash.in_(hashes), Run.status.in_(_ACTIVE))
    return first_row(connection, RunName, select(Run.dag_name, Run.run_id).where(*conditions).limit(1))
