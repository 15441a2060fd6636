"""Stored DAGs: their current definition, their revisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.db.database import ReadConnection, WriteConnection
from app.db.models.definition import Dag, DagRevision, Definition
from app.db.repositories.reading import Row, all_rows, first_row

_columns = (
    Dag.id,
    Dag.file_name,
    Dag.dag_name,
    Dag.suspended,
    Dag.source_directory,
    Dag.revision,
    Dag.definition_hash,
    Definition.spec,
)


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """A text to be stored under a file name, with what is looked up by."""

    file_name: str
    dag_name: str
    tags: Sequence[str]
    definition: dict[str, Any]
    author: str | None
    at: datetime


def get(connection: ReadConnection, file_name: str) -> Row | None:
    """Return a stored DAG with its text."""
    statement = (
        select(*_columns).join(Definition, Definition.hash == Dag.definition_hash).where(Dag.file_name == file_name)
    )
    return first_row(connection, statement)


def find(connection: ReadConnection) -> Sequence[Row]:
    """Return all stored DAGs with their texts, by file name."""
    statement = select(*_columns).join(Definition, Definition.hash == Dag.definition_hash).order_by(Dag.file_name)
    return all_rows(connection, statement)


def add(connection: WriteConnection, save: Save) -> bool:
    """Store a new DAG; False when the file name is taken."""
    _add_definition(connection, save.definition)
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {
        "file_name": save.file_name,
        "dag_name": save.dag_name,
        "definition_hash": save.definition["hash"],
        "revision": 1,
        "suspended": False,
        "tags": list(save.tags),
        "created_at": save.at,
        "updated_at": save.at,
    }
    dag_id = connection.execute(
        make(Dag).values(**row).on_conflict_do_nothing(index_elements=["file_name"]).returning(Dag.id)
    ).scalar()
    if dag_id is None:
        return False
    _add_revision(connection, dag_id, 1, save)
    return True


def replace(connection: WriteConnection, save: Save) -> bool:
    """Store the next revision of a DAG; False when there is none of this name."""
    _add_definition(connection, save.definition)
    row = connection.execute(
        update(Dag)
        .where(Dag.file_name == save.file_name)
        .values(
            dag_name=save.dag_name,
            definition_hash=save.definition["hash"],
            revision=Dag.revision + 1,
            tags=list(save.tags),
            updated_at=save.at,
        )
        .returning(Dag.id, Dag.revision)
    ).first()
    if row is None:
        return False
    _add_revision(connection, row.id, row.revision, save)
    return True


def remove(connection: WriteConnection, file_name: str) -> bool:
    """Remove a DAG and its revisions; its runs stay. False when there is none of this name."""
    return bool(connection.execute(delete(Dag).where(Dag.file_name == file_name)).rowcount)


def suspend(connection: WriteConnection, file_name: str, *, suspended: bool) -> bool:
    """Say whether the schedules of a DAG rest; False when there is none of this name."""
    return bool(connection.execute(update(Dag).where(Dag.file_name == file_name).values(suspended=suspended)).rowcount)


def _add_definition(connection: WriteConnection, definition: dict[str, Any]) -> None:
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(make(Definition).values(**definition).on_conflict_do_nothing())


def _add_revision(connection: WriteConnection, dag_id: int, number: int, save: Save) -> None:
    connection.execute(
        insert(DagRevision).values(
            dag_id=dag_id,
            number=number,
            definition_hash=save.definition["hash"],
            author=save.author,
            saved_at=save.at,
        )
    )
