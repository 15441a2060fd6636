"""Context of every migration: recreates triggers and views, and checks that no rows or indexes are lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

# Prefix of all triggers and functions created by migrations.
GUARD = "guard_"
# Prefix of the views that migrations create, see dagbook.db.migrations.report_views.
REPORT = "report_v"
Triggers = str | tuple[str, ...] | None

_FIND_VIEWS = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"


class MigrationFailed(Exception):  # noqa: N818  # shown to users, not handled
    """The migration would have lost data or indexes; it was rolled back."""


def migrations_directory() -> Path:
    """Return the folder of the migrations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


@contextmanager
def migration(
    connection: Connection, *, triggers: Triggers, loses_rows: Collection[str] = (), drops_views: Collection[str] = ()
) -> Iterator[None]:
    """Drop all triggers, change tables in the block, then create the triggers of the revisions in ``triggers``.

    SQLite refuses to rename a table while a view names one that is not there, as while Alembic copies a table. So all
    views are dropped there before the block and created afterwards, except ``drops_views`` and those that the block has
    created itself. PostgreSQL keeps them in place, with their privileges, and refuses to drop a column that one uses.

    On SQLite Alembic changes a table by copying it. The old table's triggers are lost and, if foreign keys were on, the
    rows that refer to it. The copy also loses AUTOINCREMENT (pass ``table_kwargs={"sqlite_autoincrement": True}``) and
    DESC in indexes (drop such an index before the copy, and create it afterwards). Therefore ``MigrationFailed`` is
    raised when a table not in ``loses_rows`` has another number of rows afterwards, when a reference dangles, and when
    an index or the numbering of a table differs.
    """
    before = _count_rows(connection)
    fragile = _read_fragile(connection)
    views = _drop_views(connection, drops_views)
    _drop_guards(connection)
    yield
    for revision in (triggers,) if isinstance(triggers, str) else triggers or ():
        for statement in read_guards(revision, connection.dialect.name):
            connection.exec_driver_sql(statement)
    _restore_views(connection, views)
    after = _count_rows(connection)
    for name in before.keys() & after.keys() - set(loses_rows):
        if before[name] != after[name]:
            raise MigrationFailed(f"table {name} had {before[name]} rows and would have {after[name]}")
    _check_references(connection)
    copied = _read_fragile(connection)
    for name in sorted(fragile.keys() & copied.keys()):
        if fragile[name] != copied[name]:
            raise MigrationFailed(f"{name} would be changed by the copy; see migration() for how to preserve it")


def read_guards(revision: str, dialect: str) -> list[str]:
    """Return the statements that create the triggers of a revision."""
    file = migrations_directory() / "triggers" / revision / f"{dialect}.sql"
    parts = file.read_text(encoding="utf-8").split("\n\n")
    return [part for part in parts if part.strip() and not part.startswith("--")]


def _drop_guards(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        for name in _names(connection, "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        return
    functions = "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    for name in _names(connection, functions):
        connection.exec_driver_sql(f"DROP FUNCTION {name}() CASCADE")


def _drop_views(connection: Connection, lost: Collection[str]) -> dict[str, str]:
    """Drop the views that are lost, on SQLite all; return the statements that create the others."""
    if connection.dialect.name != "sqlite":
        for name in lost:
            connection.exec_driver_sql(f"DROP VIEW {name}")
        return {}
    views = {str(row[0]): str(row[1]) for row in connection.exec_driver_sql(_FIND_VIEWS)}
    for name in views:
        connection.exec_driver_sql(f'DROP VIEW "{name}"')
    return {name: sql for name, sql in views.items() if name not in lost}


def _restore_views(connection: Connection, views: Mapping[str, str]) -> None:
    """Create the views again that were dropped on SQLite, which does not check what they name."""
    if connection.dialect.name != "sqlite":
        return
    created = {name for name, _ in connection.exec_driver_sql(_FIND_VIEWS).all()}
    for name, sql in views.items():
        if name not in created:
            connection.exec_driver_sql(sql)
    for name in {name for name in created | views.keys() if name.startswith(REPORT)}:
        try:
            connection.exec_driver_sql(f"SELECT * FROM {name} LIMIT 0")  # noqa: S608 - a name of ours
        except OperationalError as error:
            raise MigrationFailed(f"the view {name} would not work any more: {error.orig}") from error


def _names(connection: Connection, query: str) -> list[str]:
    return [name for (name,) in connection.exec_driver_sql(query) if name.startswith(GUARD)]


def _count_rows(connection: Connection) -> dict[str, int]:
    if connection.dialect.name != "sqlite":
        return {}
    names, quote = inspect(connection).get_table_names(), connection.dialect.identifier_preparer.quote_identifier
    # One statement, as text: a new database counts its tables 26 times before the first answer of its server.
    counts = [f"SELECT {number}, count(*) FROM {quote(name)}" for number, name in enumerate(names)]  # noqa: S608
    rows = connection.exec_driver_sql(" UNION ALL ".join(counts)) if counts else ()
    return {names[number]: count for number, count in rows}


def _check_references(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if orphan is not None:
        raise MigrationFailed(f"a row of table {orphan[0]} would refer to a row of {orphan[2]} that does not exist")


def _read_fragile(connection: Connection) -> dict[str, str]:
    """Return what copying a table may lose unnoticed: definitions of indexes, and AUTOINCREMENT."""
    if connection.dialect.name != "sqlite":
        return {}
    rows = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    indexes = {f"index {name}": sql for kind, name, sql in rows if kind == "index"}
    return indexes | {
        f"numbering of table {name}": str("AUTOINCREMENT" in sql) for kind, name, sql in rows if kind == "table"
    }
