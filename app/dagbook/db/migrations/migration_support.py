"""What every migration wraps its change in: the triggers of the tables, and a count of what must not get lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.sql.expression import table

# Every trigger and function that the migrations make has a name that begins like this.
GUARD = "guard_"
Triggers = str | tuple[str, ...] | None


class MigrationFailed(Exception):  # noqa: N818  # told to people, not handled
    """A migration would have lost something; nothing was changed."""


def migrations_directory() -> Path:
    """Return the folder of the migrations: inside the installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "_migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


@contextmanager
def migration(connection: Connection, *, triggers: Triggers, loses_rows: Collection[str] = ()) -> Iterator[None]:
    """Change tables without their triggers in the way, then make those of the revisions that ``triggers`` names.

    ``None`` makes none. On SQLite a table is changed by copying it: its triggers vanish
    with the old one and, were foreign keys on, the rows that refer to it. Alembic's copy
    also forgets AUTOINCREMENT (say ``table_kwargs={"sqlite_autoincrement": True}``) and
    the DESC of an index (drop the index before the copy, create it afterwards). Therefore
    no table may have another number of rows afterwards, unless ``loses_rows`` names it,
    no reference may dangle, and what keeps its name keeps its definition; else
    ``MigrationFailed``.
    """
    before = _count_rows(connection)
    fragile = _read_fragile(connection)
    _drop_guards(connection)
    yield
    for revision in (triggers,) if isinstance(triggers, str) else triggers or ():
        for statement in read_guards(revision, connection.dialect.name):
            connection.exec_driver_sql(statement)
    _compare_rows(before, _count_rows(connection), loses_rows)
    _look_for_orphans(connection)
    _compare_fragile(fragile, _read_fragile(connection))


def read_guards(revision: str, dialect: str) -> list[str]:
    """Return the statements that make the triggers of a revision."""
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


def _names(connection: Connection, query: str) -> list[str]:
    return [name for (name,) in connection.exec_driver_sql(query) if name.startswith(GUARD)]


def _count_rows(connection: Connection) -> dict[str, int]:
    if connection.dialect.name != "sqlite":
        return {}
    names = inspect(connection).get_table_names()
    return {name: connection.scalar(select(func.count()).select_from(table(name))) or 0 for name in names}


def _compare_rows(before: dict[str, int], after: dict[str, int], loses_rows: Collection[str]) -> None:
    for name in before.keys() & after.keys() - set(loses_rows):
        if before[name] != after[name]:
            raise MigrationFailed(f"table {name} had {before[name]} rows and would have {after[name]}")


def _look_for_orphans(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if orphan is not None:
        raise MigrationFailed(f"a row of table {orphan[0]} would refer to a row of {orphan[2]} that does not exist")


def _read_fragile(connection: Connection) -> dict[str, str]:
    """Return what a copy of a table may change unnoticed: its indexes, and whether its numbers are used again."""
    if connection.dialect.name != "sqlite":
        return {}
    rows = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    indexes = {f"index {name}": sql for kind, name, sql in rows if kind == "index"}
    return indexes | {
        f"numbering of table {name}": str("AUTOINCREMENT" in sql) for kind, name, sql in rows if kind == "table"
    }


def _compare_fragile(before: dict[str, str], after: dict[str, str]) -> None:
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            raise MigrationFailed(f"{name} would no longer be what it was; see revise() for how to keep it")
