"""Every save of a DAG, with the text that was saved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision, Definition
from dagbook.db.models.run import Run
from dagbook.db.repositories.rows import Row, all_rows, first_row

_ACTIVE = (0, 1, 5)
_said = (
    DagRevision.number,
    DagRevision.definition_hash,
    DagRevision.author,
    DagRevision.note,
    DagRevision.saved_at,
    Definition.redacted_at,
    Definition.redacted_by,
)


def find_page(connection: ReadConnection, dag: int, *, newest: int, limit: int) -> Sequence[Row]:
    """Return what is noted of a DAG's revisions, from number ``newest`` downwards."""
    statement = (
        select(*_said)
        .join(Definition, Definition.hash == DagRevision.definition_hash)
        .where(DagRevision.dag_id == dag, DagRevision.number <= newest)
        .order_by(DagRevision.number.desc())
        .limit(limit)
    )
    return all_rows(connection, statement)


def find(connection: ReadConnection, dag: int, numbers: Collection[int]) -> dict[int, Row]:
    """Return, by number, revisions of a DAG with their texts; a text is None when it was redacted."""
    statement = (
        select(*_said, Definition.spec)
        .join(Definition, Definition.hash == DagRevision.definition_hash)
        .where(DagRevision.dag_id == dag, DagRevision.number.in_(numbers))
    )
    return {row["number"]: row for row in all_rows(connection, statement)}


def find_same_text(connection: ReadConnection, spec: str) -> list[str]:
    """Return the hashes of all definitions with a text, whatever their base; goes through every one of them."""
    return list(connection.execute(select(Definition.hash).where(Definition.spec == spec)).scalars())


def redact(connection: WriteConnection, hashes: Collection[str], by: str, at: datetime) -> None:
    """Remove the texts of definitions that have not been redacted yet."""
    connection.execute(
        update(Definition)
        .where(Definition.hash.in_(hashes), Definition.redacted_at.is_(None))
        .values(spec=None, redacted_at=at, redacted_by=by)
    )


def find_user(connection: ReadConnection, hashes: Collection[str]) -> str | None:
    """Return the file name of a stored DAG that is one of these definitions now."""
    return connection.execute(select(Dag.file_name).where(Dag.definition_hash.in_(hashes)).limit(1)).scalar()


def find_active_run(connection: ReadConnection, hashes: Collection[str]) -> Row | None:
    """Return name and id of a run that is not over and works from one of these definitions."""
    wanted = (Run.definition_hash.in_(hashes), Run.status.in_(_ACTIVE))
    return first_row(connection, select(Run.dag_name, Run.run_id).where(*wanted).limit(1))
