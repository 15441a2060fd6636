"""Stored DAGs: their current definitions and their revisions."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import (
    ColumnElement,
    bindparam,
    case,
    collate,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, DagRevision, Definition, is_suspended
from dagbook.db.repositories import changes, definitions
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import EVERYTHING, Visibility
from dagbook.db.repositories.accounts.principals import UNLIMITED, Principal
from dagbook.db.repositories.alerts import upkeep
from dagbook.db.repositories.changes import ChangeData
from dagbook.db.repositories.definitions import DefinitionRow
from dagbook.db.repositories.runs import run_history
from dagbook.db.statements import all_rows, columns, first_row, insert_into


class DagRow(msgspec.Struct, frozen=True, kw_only=True):
    """A stored DAG with its current text, None when it was redacted; the end of its suspension has not passed."""

    id: int
    file_name: str
    dag_name: str
    suspended: bool
    suspend_reason: str | None
    suspended_until: datetime | None
    suspended_by: str | None
    source_directory: str | None
    run_as: str | None
    revision: int
    definition_hash: str
    spec: str | None


_with_text = select(*columns(Dag, DagRow, is_suspended()), Definition.spec).join(
    Definition, Definition.hash == Dag.definition_hash
)
_get = _with_text.where(Dag.file_name == bindparam("file"))
_get_by_key = _with_text.where(Dag.id == bindparam("key"))
_names = select(Dag.file_name, Dag.dag_name, Dag.definition_hash)
_find_files = _with_text.where(Dag.file_name.in_(bindparam("files", expanding=True)))
_get_run_as = select(Dag.run_as).where(Dag.file_name == bindparam("file"))
_names_in = select(Dag.file_name, Dag.dag_name).where(Dag.source_directory == bindparam("directory"))
_get_dag_name = select(Dag.dag_name).where(Dag.file_name == bindparam("file"))


class DagHash(msgspec.Struct, frozen=True, kw_only=True):
    """Names of a stored DAG and the hash of its definition."""

    file_name: str
    dag_name: str
    definition_hash: str


class RemovedDag(msgspec.Struct, frozen=True, kw_only=True):
    """Old values of a removed DAG."""

    dag_name: str
    revision: int
    definition_hash: str


class Suspension(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the schedules of a DAG are suspended, why, until when and by whom."""

    suspended: bool = True
    suspend_reason: str | None = None
    suspended_until: datetime | None = None
    suspended_by: str | None = None


class _Suspended(Suspension, frozen=True, kw_only=True):
    """The state before a change."""

    dag_name: str


class DagAccount(msgspec.Struct, frozen=True, kw_only=True):
    """The account under which a DAG's commands run; None for that of the server's settings."""

    dag_name: str
    run_as: str | None


class DagFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Filter of a list of DAGs: a part of the file name, ignoring case, a tag in lower case, and what is visible.

    ``status`` is the number of the status of the latest run, and ``waiting`` whether that waits for an approval.
    """

    name_part: str = ""
    tag: str = ""
    status: int | None = None
    waiting: bool | None = None
    visibility: Visibility = EVERYTHING


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """A definition to save under a file name; ``principal`` is its author as a user."""

    file_name: str
    dag_name: str
    tags: Sequence[str]
    definition: DefinitionRow
    author: str | None
    principal: Principal = UNLIMITED
    at: datetime
    note: str | None = None
    source_commit: str | None = None
    expected: Collection[int] | None = None  # save only if the current revision is one of these


def get(connection: ReadConnection, file_name: str) -> DagRow | None:
    """Return a stored DAG with its text."""
    return first_row(connection, DagRow, _get, file=file_name)


def get_by_key(connection: ReadConnection, key: int) -> DagRow | None:
    """Return a stored DAG with its text by primary key, which a rename does not change."""
    return first_row(connection, DagRow, _get_by_key, key=key)


def find_hashes(connection: ReadConnection, dag_filter: DagFilter) -> Sequence[DagHash]:
    """Return the names of stored DAGs and the hashes of their definitions, by file name."""
    statement = _names.where(*_conditions(connection, dag_filter)).order_by(_bytes(connection, Dag.file_name))
    return all_rows(connection, DagHash, statement)


def find_files(connection: ReadConnection, file_names: Sequence[str]) -> Sequence[DagRow]:
    """Return the stored DAGs of these names with their texts, in any order."""
    return all_rows(connection, DagRow, _find_files, files=list(file_names))


def find_page(
    connection: ReadConnection, dag_filter: DagFilter, *, descending: bool, offset: int, limit: int
) -> Sequence[DagRow]:
    """Return a page of stored DAGs with their texts, by DAG name ignoring case, ties by file name."""
    name = _bytes(connection, func.lower(Dag.dag_name))  # names are ASCII
    order = (name.desc() if descending else name, _bytes(connection, Dag.file_name))
    statement = _with_text.where(*_conditions(connection, dag_filter)).order_by(*order).offset(offset).limit(limit)
    return all_rows(connection, DagRow, statement)


def count(connection: ReadConnection, dag_filter: DagFilter) -> int:
    """Count stored DAGs."""
    statement = select(func.count()).select_from(Dag).where(*_conditions(connection, dag_filter))
    return connection.execute(statement).scalar() or 0


def find_holding(connection: ReadConnection, text: str, visibility: Visibility = EVERYTHING) -> Sequence[DagRow]:
    """Return visible DAGs whose definition contains an ASCII text, ignoring case, by file name; all for none."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    visible = dag_access.narrow(Dag.dag_name, visibility)
    statement = _with_text.where(*visible).order_by(_bytes(connection, Dag.file_name))
    if text:
        statement = statement.where(position(func.lower(Definition.spec), text.lower()) > 0)
    return all_rows(connection, DagRow, statement)


def find_named(connection: ReadConnection, text: str, visibility: Visibility, most: int) -> Sequence[DagRow]:
    """Return visible DAGs with a text in a name, ignoring case; first those of which a name begins with it."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    places = [position(func.lower(name), func.lower(text)) for name in (Dag.file_name, Dag.dag_name)]
    order = (case((or_(*(place == 1 for place in places)), 0), else_=1), _bytes(connection, Dag.file_name))
    holding = (or_(*(place > 0 for place in places)), *dag_access.narrow(Dag.dag_name, visibility))
    names = connection.scalars(select(Dag.file_name).where(*holding).order_by(*order).limit(most)).all()
    rows = {row.file_name: row for row in find_files(connection, names)}
    return [rows[name] for name in names]


def find_tags(connection: ReadConnection, visibility: Visibility = EVERYTHING) -> set[str]:
    """Return the tags that any visible DAG has."""
    statement = select(Dag.tags).where(*dag_access.narrow(Dag.dag_name, visibility)).distinct()
    return {tag for (tags,) in connection.execute(statement) for tag in tags}


def get_tags(connection: ReadConnection, dag_name: str) -> set[str]:
    """Return the tags of the stored DAGs with a DAG name."""
    return {tag for (tags,) in connection.execute(select(Dag.tags).where(Dag.dag_name == dag_name)) for tag in tags}


def get_dag_name(connection: ReadConnection, file_name: str) -> str | None:
    """Return the DAG name of a stored DAG."""
    return connection.execute(_get_dag_name, {"file": file_name}).scalar()


def find_names_of_file(connection: ReadConnection, directory: str, stem: str) -> list[str]:
    """Return the DAG names of the stored DAGs that a source has made of a file; those of subfolders have prefixes."""
    found = connection.execute(_names_in, {"directory": directory})
    return [row.dag_name for row in found if f".{row.file_name}".endswith(f".{stem}")]


def _conditions(connection: ReadConnection, dag_filter: DagFilter) -> Iterator[ColumnElement[bool]]:
    yield from dag_access.narrow(Dag.dag_name, dag_filter.visibility)
    if dag_filter.name_part:
        position = func.strpos if connection.dialect.name == "postgresql" else func.instr
        yield position(func.lower(Dag.file_name), dag_filter.name_part.lower()) > 0
    if dag_filter.tag:
        tag = dag_access.each_tag(connection)
        yield exists().select_from(tag).where(tag.c.value == dag_filter.tag)
    if dag_filter.status is not None:
        yield run_history.latest_status.in_([dag_filter.status])
    if dag_filter.waiting is not None:
        yield run_history.latest_waits if dag_filter.waiting else ~run_history.latest_waits


def _bytes(connection: ReadConnection, column: ColumnElement[str] | InstrumentedAttribute[str]) -> ColumnElement[str]:
    """Order by code points on both databases, regardless of the database's collation."""
    return collate(column, "C" if connection.dialect.name == "postgresql" else "BINARY")


def add(connection: WriteConnection, save: Save) -> bool:
    """Store a new DAG; False when the file name is taken. Raises TextRedactedError."""
    definitions.add(connection, save.definition)
    row = {
        "file_name": save.file_name,
        "dag_name": save.dag_name,
        "definition_hash": save.definition.hash,
        "revision": 1,
        "suspended": False,
        "tags": list(save.tags),
        "created_at": save.at,
        "updated_at": save.at,
    }
    dag_id = connection.execute(
        insert_into(Dag).values(**row).on_conflict_do_nothing(index_elements=["file_name"]).returning(Dag.id)
    ).scalar()
    if dag_id is None:
        return False
    _add_revision(connection, dag_id, 1, save)
    dag_access.refresh_name(connection, save.dag_name)
    data = ChangeData(what="created", file_name=save.file_name, revision=1)
    changes.add_dag_change(connection, save.dag_name, data)
    return True


def replace(connection: WriteConnection, save: Save) -> int | None:
    """Store the next revision of a DAG and return its number. Raises TextRedactedError.

    None when there is no DAG of this name, or its revision is not one of the expected ones.
    """
    definitions.add(connection, save.definition)
    expected = [] if save.expected is None else [Dag.revision.in_(save.expected)]
    old_name = get_dag_name(connection, save.file_name)
    row = connection.execute(
        update(Dag)
        .where(Dag.file_name == save.file_name, *expected)
        .values(
            dag_name=save.dag_name,
            definition_hash=save.definition.hash,
            revision=Dag.revision + 1,
            tags=list(save.tags),
            updated_at=save.at,
        )
        .returning(Dag.id, Dag.revision)
    ).first()
    if row is None:
        return None
    _add_revision(connection, row.id, row.revision, save)
    _follow_name(connection, old_name, save.dag_name)
    data = ChangeData(what="saved", file_name=save.file_name, revision=row.revision)
    changes.add_dag_change(connection, save.dag_name, data)
    return int(row.revision)


def get_revision(connection: ReadConnection, file_name: str) -> int | None:
    """Return the number of a stored DAG's newest revision."""
    return connection.execute(select(Dag.revision).where(Dag.file_name == file_name)).scalar()


def get_hash(connection: ReadConnection, file_name: str, number: int) -> str | None:
    """Return the definition hash of a DAG's revision."""
    statement = select(DagRevision.definition_hash).join(Dag, Dag.id == DagRevision.dag_id)
    return connection.execute(statement.where(Dag.file_name == file_name, DagRevision.number == number)).scalar()


def remove(connection: WriteConnection, file_name: str) -> RemovedDag | None:
    """Delete a DAG and its revisions, but not its runs, and return its old values; None when it does not exist."""
    statement = delete(Dag).where(Dag.file_name == file_name).returning(*columns(Dag, RemovedDag))
    removed = first_row(connection, RemovedDag, statement)
    if removed is not None:
        dag_access.refresh_name(connection, removed.dag_name)
        changes.add_dag_change(connection, removed.dag_name, ChangeData(what="deleted", file_name=file_name))
    return removed


def rename(connection: WriteConnection, dag: DagRow, new_name: str, dag_name: str) -> bool:
    """Change the file name of a DAG to an unused one; False when the DAG was changed since ``dag`` was read."""
    unchanged = (Dag.file_name == dag.file_name, Dag.definition_hash == dag.definition_hash)
    renamed = connection.execute(update(Dag).where(*unchanged).values(file_name=new_name, dag_name=dag_name))
    if renamed.rowcount:
        _follow_name(connection, dag.dag_name, dag_name)
        data = ChangeData(what="renamed", file_name=dag.file_name, new_file_name=new_name, old_dag_name=dag.dag_name)
        changes.add_dag_change(connection, dag_name, data)
    return bool(renamed.rowcount)


def suspend(connection: WriteConnection, file_name: str, suspension: Suspension) -> Suspension | None:
    """Suspend or resume the schedules of a DAG, and return the old state; None when it does not exist."""
    locked = select(*columns(Dag, _Suspended, is_suspended())).where(Dag.file_name == file_name).with_for_update()
    before = first_row(connection, _Suspended, locked)
    if before is None:
        return None
    stored = Suspension(**{name: getattr(before, name) for name in Suspension.__struct_fields__})
    was = stored if before.suspended else Suspension(suspended=False)
    if was != suspension:
        connection.execute(update(Dag).where(Dag.file_name == file_name).values(msgspec.structs.asdict(suspension)))
        data = ChangeData(what="suspended" if suspension.suspended else "resumed", file_name=file_name)
        changes.add_dag_change(connection, before.dag_name, data)
    return was


def get_run_as(connection: ReadConnection, file_name: str) -> str | None:
    """Return the account of a DAG; None when it has none, or does not exist."""
    return connection.execute(_get_run_as, {"file": file_name}).scalar()


def set_run_as(connection: WriteConnection, file_name: str, account: str | None) -> DagAccount | None:
    """Give a DAG an account, and return the state before; None when the DAG does not exist."""
    locked = select(Dag.dag_name, Dag.run_as).where(Dag.file_name == file_name).with_for_update()
    before = first_row(connection, DagAccount, locked)
    if before is not None and before.run_as != account:
        connection.execute(update(Dag).where(Dag.file_name == file_name).values(run_as=account))
        data = ChangeData(what="configured", file_name=file_name)
        changes.add_dag_change(connection, before.dag_name, data)
    return before


def _follow_name(connection: WriteConnection, old_name: str | None, new_name: str) -> None:
    for name in sorted({old_name or new_name, new_name}):
        dag_access.refresh_name(connection, name)
    if old_name is not None and old_name != new_name:
        upkeep.rename(connection, old_name, new_name)


def _add_revision(connection: WriteConnection, dag_id: int, number: int, save: Save) -> None:
    connection.execute(
        insert(DagRevision).values(
            dag_id=dag_id,
            number=number,
            definition_hash=save.definition.hash,
            author=save.author,
            author_id=save.principal.user_id,
            author_token_id=save.principal.token_id,
            note=save.note,
            source_commit=save.source_commit,
            saved_at=save.at,
        )
    )
