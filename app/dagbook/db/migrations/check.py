"""Comparison of a database's schema with the one that the migrations create.

Alembic's own comparison ignores triggers, functions and the conditions of partial indexes. Therefore the migrations are
run into an empty database or schema, and both schemas are compared object by object.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from dagbook.db.migrations.migration_support import GUARD
from dagbook.db.migrations.upgrade import build_config, current, head, open_for_migration, require_known, upgrade
from dagbook.db.migrations.upgrade_postgres import UnusableDatabase
from dagbook.db.url import PUBLIC, sqlite_path

# Definitions of schema objects by their descriptions, such as "index i of t".
Shape = dict[str, str]

_MAY_CREATE = """SELECT has_database_privilege(current_database(), 'CREATE'),
    quote_ident(current_database()), quote_ident(current_user)"""
# Each query returns name and definition, as PostgreSQL formats it relative to the search path.
_CATALOG = (
    """SELECT 'table ' || relname, relkind::text FROM pg_class
       WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'""",
    """SELECT 'column ' || attname || ' of ' || relname,
              format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || coalesce(pg_get_expr(adbin, adrelid), '')
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped""",
    """SELECT 'constraint ' || conname || ' of ' || relname,
              pg_get_constraintdef(pg_constraint.oid) || ' ' || convalidated
       FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
       WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'""",
    """SELECT 'index ' || indexname || ' of ' || tablename,
              replace(indexdef, ' ON ' || quote_ident(schemaname) || '.', ' ON ')
       FROM pg_indexes WHERE schemaname = current_schema()""",
    """SELECT 'trigger ' || tgname || ' of ' || relname,
              pg_get_triggerdef(pg_trigger.oid, true) || ' ' || tgenabled::text
       FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
       WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal""",
    "SELECT 'view ' || viewname, definition FROM pg_views WHERE schemaname = current_schema()",
    """SELECT 'function ' || proname, prosrc || ' ' || provolatile::text || ' ' || prosecdef FROM pg_proc
       WHERE pronamespace = current_schema()::regnamespace""",
)


async def check(url: str, *, schema: str = PUBLIC) -> list[str]:
    """Return the differences as messages; an empty list means that the schema is correct.

    Other tables than Dagbook's are ignored. On PostgreSQL this needs the privilege to create a schema, which is rolled
    back. Must not overlap with an upgrade in the same process. Raises ``UnusableDatabase``.
    """
    here = await current(url, schema=schema)
    require_known(url, here)
    if here != head():
        return [f"the database is at revision {here or 'none'}, this version of Dagbook requires {head()}"]
    expected, actual = await (_shapes_of_file(url) if sqlite_path(url) else _shapes_of_schema(url, schema))
    return list(_differences(expected, actual))


async def _shapes_of_file(url: str) -> tuple[Shape, Shape]:
    with tempfile.TemporaryDirectory(prefix="dagbook-check-") as directory:
        fresh = f"sqlite:///{Path(directory) / 'fresh.db'}"
        await upgrade(fresh)
        async with open_for_migration(fresh, writes=False) as connection:
            expected = await connection.run_sync(_describe_sqlite)
    async with open_for_migration(url, writes=False) as connection:
        return expected, await connection.run_sync(_describe_sqlite)


async def _shapes_of_schema(url: str, schema: str) -> tuple[Shape, Shape]:
    async with open_for_migration(url, schema=schema) as connection:
        transaction = await connection.begin()
        try:
            found = await connection.run_sync(_describe_postgresql)
            await connection.run_sync(_migrate_into_new_schema)
            return await connection.run_sync(_describe_postgresql), found
        finally:
            await transaction.rollback()


def _migrate_into_new_schema(connection: Connection) -> None:
    may_create, database, role = connection.exec_driver_sql(_MAY_CREATE).one()
    if not may_create:
        raise UnusableDatabase(
            "the check compares the tables with new ones in a temporary schema, and the PostgreSQL role "
            f"{role} may not create schemas; as the database's owner: GRANT CREATE ON DATABASE {database} TO {role}, "
            "or check as another role"
        )
    name = f"dagbook_check_{secrets.token_hex(8)}"
    connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    connection.exec_driver_sql(f"SET LOCAL search_path TO {name}")
    command.upgrade(build_config(connection), "head")


def _differences(expected: Shape, found: Shape) -> Iterator[str]:
    tables = {name for name in expected if name.startswith("table ")}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing"
        elif name in expected and expected[name] != found[name]:
            yield f"{name} differs from the migrations"
        elif name not in expected:
            # Tables and functions of others may be there, but nothing of theirs on the tables of Dagbook.
            of_table = f"table {name.rpartition(' of ')[2]}"
            if of_table in tables or name.startswith(f"function {GUARD}"):
                yield f"{name} does not belong to Dagbook"


def _describe_sqlite(connection: Connection) -> Shape:
    shape: Shape = {}
    objects = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    for kind, name, table, sql in connection.exec_driver_sql(objects).all():
        if kind == "table":
            shape[f"table {name}"] = _put_constraints_in_order(str(sql))
            shape |= _describe_columns(connection, name)
        elif kind == "view":
            shape[f"view {name}"] = " ".join(str(sql).split())
        else:
            shape[f"{kind} {name} of {table}"] = " ".join(str(sql).split())
    return shape


def _put_constraints_in_order(sql: str) -> str:
    """Normalize a table's definition: copies made by Alembic have their constraints in any order."""
    text = " ".join(sql.split())
    begin, end = text.index("(") + 1, text.rindex(")")
    parts = split_definition(text[begin:end])
    columns = [part for part in parts if not part.startswith("CONSTRAINT ")]
    constraints = sorted(part for part in parts if part.startswith("CONSTRAINT "))
    return f"{text[:begin]}{', '.join(columns + constraints)}{text[end:]}"


def split_definition(body: str) -> list[str]:
    """Split the body of a table definition at the commas outside of parentheses."""
    found, depth = [""], 0
    for character in body:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [part.strip() for part in found]


def _describe_columns(connection: Connection, table: str) -> Shape:
    rows = connection.exec_driver_sql("SELECT * FROM pragma_table_xinfo(?)", (table,)).mappings().all()
    return {
        f"column {row['name']} of {table}": f"{row['type']} {row['notnull']} {row['dflt_value']} {row['pk']}"
        for row in rows
    }


def _describe_postgresql(connection: Connection) -> Shape:
    shape: Shape = {}
    for query in _CATALOG:
        shape |= {str(name): str(definition) for name, definition in connection.exec_driver_sql(query)}
    return shape
