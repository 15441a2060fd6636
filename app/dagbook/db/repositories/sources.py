"""Sources of definitions, the files in them, and the DAGs that come from these files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Executable, bindparam, case, delete, func, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.definition import Dag, is_suspended
from dagbook.db.models.source import Source, SourceFile
from dagbook.db.prepared import Prepared, update_by
from dagbook.db.statements import all_rows, columns, first_row, insert_into, is_one_of
from dagbook.json_values import Json

DIRECTORY, GIT = "directory", "git"
_IN_ONE = 500  # keys in one statement: the databases limit parameters

_columns = tuple(Source.__table__.columns)


class FileProblem(msgspec.Struct, frozen=True):
    """A problem of a file; the line counts from 1 and is 0 if it is unknown."""

    line: int
    message: str


class Target(msgspec.Struct, frozen=True):
    """The stored DAG that gets the text of a file."""

    dag_id: int
    dag_hash: str
    revision: int
    suspended: bool


class SourceFileRow(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it was read last, and its DAG as it is now."""

    path: str
    content: str
    definition_hash: str | None
    source_commit: str | None
    problems: tuple[FileProblem, ...]
    changed_at: datetime
    removed_at: datetime | None
    resumes: bool
    dag_id: int | None
    file_name: str | None
    dag_hash: str | None
    revision: int | None
    suspended: bool | None
    source_directory: str | None

    @property
    def target(self) -> Target | None:
        """The DAG of the file, if it has one."""
        if self.dag_id is None or self.dag_hash is None or self.revision is None:
            return None
        return Target(self.dag_id, self.dag_hash, self.revision, bool(self.suspended))


class DagOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a DAG comes from."""

    dag_id: int
    source_id: int
    source: str
    kind: str
    place: str
    root: str  # the subdirectory of the source
    writable: bool
    path: str
    content: str
    source_commit: str | None
    problems: tuple[FileProblem, ...]
    removed_at: datetime | None

    @property
    def accepts_writes(self) -> bool:
        """Whether a save writes the file."""
        return self.writable and self.kind == DIRECTORY and self.removed_at is None


_files = select(
    *columns(SourceFile, SourceFileRow),
    Dag.file_name,
    Dag.definition_hash.label("dag_hash"),
    Dag.revision,
    is_suspended(),
    Dag.source_directory,
).outerjoin(Dag, Dag.id == SourceFile.dag_id)
_origins = select(
    *columns(SourceFile, DagOrigin),
    Source.name.label("source"),
    Source.kind,
    Source.place,
    Source.path.label("root"),
    Source.writable,
).join(Source, Source.id == SourceFile.source_id)
_find_origins = _origins.where(is_one_of(SourceFile.dag_id, "dags"))
_origin_of_file = _origins.join(Dag, Dag.id == SourceFile.dag_id).where(Dag.file_name == bindparam("file"))
_taken = (
    select(
        Dag.file_name,
        Source.name.label("source"),
        Dag.id.label("dag_id"),
        Dag.definition_hash.label("dag_hash"),
        Dag.revision,
        is_suspended(),
    )
    .outerjoin(SourceFile, SourceFile.dag_id == Dag.id)
    .outerjoin(Source, Source.id == SourceFile.source_id)
)
_set_directory = Prepared(update_by(Dag, ["source_directory"], "id"))
_get_dag_id = select(Dag.id).where(Dag.file_name == bindparam("file"))


class NewSource(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a source and how it is read."""

    name: str
    kind: str
    place: str
    branch: str | None = None
    path: str = ""
    writable: bool = False
    adopt: bool = False
    credentials: str | None = None
    hook_secret: bytes | None = None
    configured: bool = False


class SourceRow(NewSource, frozen=True, kw_only=True):
    """A source with the outcome of its last sync."""

    id: int
    created_at: datetime
    created_by: str | None
    synced_at: datetime | None
    source_commit: str | None
    problem: str | None
    problem_at: datetime | None


class SourceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of files of a source: all that are there, those with problems, and removed ones with a DAG."""

    files: int = 0
    broken: int = 0
    removed: int = 0


class TakenName(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a stored DAG that no file of a source has: whose it is, and its state."""

    file_name: str
    source: str | None
    dag_id: int
    dag_hash: str
    revision: int
    suspended: bool

    @property
    def target(self) -> Target:
        """The DAG of this name."""
        return Target(self.dag_id, self.dag_hash, self.revision, self.suspended)


class FileState(msgspec.Struct, frozen=True, kw_only=True):
    """The row of a file to store."""

    path: str
    content: str
    dag_id: int | None = None
    definition_hash: str | None = None
    source_commit: str | None = None
    problems: tuple[FileProblem, ...] = ()
    removed_at: datetime | None = None
    resumes: bool = False


_add_file, _file_key = insert_into(SourceFile), ("source_id", "path")
_changed = {name: column for name, column in _add_file.excluded.items() if name not in _file_key}
_put_file = Prepared(_add_file.on_conflict_do_update(index_elements=_file_key, set_=_changed))  # thousands at first


# -- sources -------------------------------------------------------------------------------------------------------


def find(connection: ReadConnection) -> Sequence[SourceRow]:
    """Return all sources, by name."""
    return all_rows(connection, SourceRow, select(*_columns).order_by(Source.name))


def get(connection: ReadConnection, name: str) -> SourceRow | None:
    """Return a source by name."""
    return first_row(connection, SourceRow, select(*_columns).where(Source.name == name))


def add(connection: WriteConnection, source: NewSource, by: str | None, at: datetime) -> bool:
    """Store a source; False when its name is taken."""
    values = {**msgspec.structs.asdict(source), "created_at": at, "created_by": by}
    added = insert_into(Source).values(values).on_conflict_do_nothing(index_elements=["name"]).returning(Source.id)
    return connection.execute(added).scalar() is not None


def replace(connection: WriteConnection, source: NewSource) -> None:
    """Change the place of a source and how it is read."""
    values = {name: value for name, value in msgspec.structs.asdict(source).items() if name != "name"}
    connection.execute(update(Source).where(Source.name == source.name).values(values))


def remove(connection: WriteConnection, name: str) -> None:
    """Delete a source and its files; their DAGs stay, as DAGs without a source."""
    key = select(Source.id).where(Source.name == name).scalar_subquery()
    gone = select(SourceFile.dag_id).where(SourceFile.source_id == key, SourceFile.dag_id.is_not(None))
    lost = select(Source.kind).where(Source.name == name).scalar_subquery() == GIT
    connection.execute(update(Dag).where(Dag.id.in_(gone), lost).values(source_directory=None))
    connection.execute(delete(Source).where(Source.name == name))


def put_outcome(connection: WriteConnection, source: int, at: datetime, commit: str | None) -> None:
    """Store that a source was synced completely."""
    values = {"synced_at": at, "source_commit": commit, "problem": None, "problem_at": None}
    connection.execute(update(Source).where(Source.id == source).values(values))


def put_problem(connection: WriteConnection, source: int, at: datetime, problem: str) -> None:
    """Store why a source could not be synced; the time is that of the first sync with this problem."""
    unknown = Source.problem.is_distinct_from(problem)
    connection.execute(
        update(Source).where(Source.id == source, unknown).values({"problem": problem, "problem_at": at})
    )


def count_files(connection: ReadConnection) -> dict[int, SourceCounts]:
    """Count the files of each source."""

    def number(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    present = SourceFile.removed_at.is_(None)
    statement = select(
        SourceFile.source_id,
        number(present).label("files"),
        number(present & SourceFile.problems.is_not(None)).label("broken"),
        number(~present).label("removed"),
    ).group_by(SourceFile.source_id)
    return {
        row.source_id: SourceCounts(files=row.files, broken=row.broken, removed=row.removed)
        for row in connection.execute(statement)
    }


# -- files ---------------------------------------------------------------------------------------------------------


def find_files(connection: ReadConnection, source: int) -> Sequence[SourceFileRow]:
    """Return all files of a source, by path."""
    return _file_rows(connection, _files.where(SourceFile.source_id == source).order_by(SourceFile.path))


def find_file_page(
    connection: ReadConnection, source: int, *, broken: bool, offset: int, limit: int
) -> Sequence[SourceFileRow]:
    """Return a page of a source's files, by path; ``broken`` returns those with problems and removed ones."""
    statement = _files.where(SourceFile.source_id == source).order_by(SourceFile.path).offset(offset).limit(limit)
    if broken:
        statement = statement.where(SourceFile.problems.is_not(None) | SourceFile.removed_at.is_not(None))
    return _file_rows(connection, statement)


def _file_rows(connection: ReadConnection, statement: Executable) -> Sequence[SourceFileRow]:
    rows = connection.execute(statement).mappings()
    return [SourceFileRow(**{**row, "problems": _problems(row["problems"])}) for row in rows]


def _problems(stored: Sequence[Json] | None) -> tuple[FileProblem, ...]:
    return msgspec.convert(stored or (), tuple[FileProblem, ...])


def put_file(connection: WriteConnection, source: int, file: FileState, at: datetime) -> None:
    """Store the state of a file."""
    values = {**msgspec.structs.asdict(file), "problems": file.problems or None, "changed_at": at}
    _put_file.execute_many(connection, [{**values, "source_id": source}])


def set_content(connection: WriteConnection, file_name: str, content: str, definition_hash: str) -> None:
    """Store the content of a DAG's file, which a save has written."""
    values = {"content": content, "definition_hash": definition_hash, "problems": None}
    key = select(Dag.id).where(Dag.file_name == file_name).scalar_subquery()
    connection.execute(update(SourceFile).where(SourceFile.dag_id == key).values(values))


def remove_files(connection: WriteConnection, source: int, paths: Collection[str]) -> None:
    """Delete the rows of files."""
    chosen = (SourceFile.source_id == source, SourceFile.path.in_(sorted(paths)))
    connection.execute(delete(SourceFile).where(*chosen))


# -- DAGs ----------------------------------------------------------------------------------------------------------


def get_origin(connection: ReadConnection, file_name: str) -> DagOrigin | None:
    """Return where a stored DAG comes from; None for one without a source."""
    row = connection.execute(_origin_of_file, {"file": file_name}).mappings().first()
    return None if row is None else DagOrigin(**{**row, "problems": _problems(row["problems"])})


def find_origins(connection: ReadConnection, dag_ids: Sequence[int]) -> Mapping[int, DagOrigin]:
    """Return where these stored DAGs come from, by key; those without a source are left out."""
    rows = connection.execute(_find_origins, {"dags": list(dag_ids)}).mappings()
    return {row["dag_id"]: DagOrigin(**{**row, "problems": _problems(row["problems"])}) for row in rows}


def find_taken(connection: ReadConnection, file_names: Sequence[str]) -> dict[str, TakenName]:
    """Return whose the stored DAGs of these names are."""
    found: dict[str, TakenName] = {}
    for begin in range(0, len(file_names), _IN_ONE):
        statement = _taken.where(Dag.file_name.in_(file_names[begin : begin + _IN_ONE]))
        found |= {row.file_name: row for row in all_rows(connection, TakenName, statement)}
    return found


def set_directory(connection: WriteConnection, dag_id: int, directory: str) -> None:
    """Store the directory of a DAG's file."""
    _set_directory.execute_many(connection, [{"b_id": dag_id, "source_directory": directory}])


def get_dag_id(connection: ReadConnection, file_name: str) -> int | None:
    """Return the key of a stored DAG."""
    return connection.execute(_get_dag_id, {"file": file_name}).scalar()
