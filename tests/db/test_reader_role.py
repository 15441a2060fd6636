"""A PostgreSQL role that may read the report views and nothing else, made as docs/reference/sql-views.md says."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import NullPool, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.migrations.upgrade import open_for_migration
from dagbook.db.postgres.roles import READER, WORKER, RoleError, grant
from dagbook.db.reports.query import read_ready
from dagbook.db.types import Base
from dagbook.db.url import parse_url
from tests.conftest import ROOT, PostgresCopies
from tests.db.test_report_views import PROMISED

DOCUMENT = ROOT / "docs" / "reference" / "sql-views.md"
PASSWORD = "secret"  # noqa: S105 - of a role that is dropped after the test


class Reader(NamedTuple):
    """A role of the documented script, and the database of the owner and as the role opens it."""

    role: str
    owner_url: str
    url: str


def script(role: str, database: str) -> list[str]:
    """Return the statements of the document, for this role and a database without a schema of its own."""
    found = re.search(r"```sql\n(CREATE ROLE dagbook_reader.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    text = re.sub(r"--.*", "", found[1]).replace("search_path = dagbook", "search_path = public")
    text = text.replace("DATABASE dagbook", f"DATABASE {database}").replace("dagbook_reader", role)
    return [statement for line in text.replace("…", PASSWORD).split(";") if (statement := line.strip())]


async def execute(url: str, *statements: str) -> None:
    """Run statements one by one, each in a transaction of its own."""
    engine = create_async_engine(parse_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.exec_driver_sql(statement)
    finally:
        await engine.dispose()


async def refusal(url: str, statement: str) -> str:
    """Return what PostgreSQL says to a statement; empty if it executes it."""
    try:
        await execute(url, statement)
    except DBAPIError as error:
        return str(error.orig)
    return ""


@pytest.fixture
async def reader(postgres_copies: PostgresCopies) -> AsyncIterator[Reader]:
    role = f"reader_{secrets.token_hex(4)}"
    async for url in postgres_copies.copy():
        database = make_url(url)
        await execute(url, *script(role, str(database.database)))
        own = database.set(username=role, password=PASSWORD).render_as_string(hide_password=False)
        try:
            yield Reader(role, url, own)
        finally:
            await execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")


async def test_it_reads_every_view_and_no_table(reader: Reader) -> None:
    await grant(reader.owner_url, "public", reader.role, READER)
    read = [await refusal(reader.url, f"TABLE {view}") for view in PROMISED]
    assert read == [""] * len(PROMISED)
    tables = [*Base.metadata.tables, "alembic_version", "pgqueuer"]
    assert [table for table in tables if "permission denied" not in await refusal(reader.url, f"TABLE {table}")] == []


async def test_it_changes_nothing_even_without_being_read_only(reader: Reader) -> None:
    await grant(reader.owner_url, "public", reader.role, READER)
    assert "read-only" in await refusal(reader.url, "CREATE TABLE mine (a int)")
    await execute(reader.owner_url, f"ALTER ROLE {reader.role} RESET default_transaction_read_only")
    for statement in (
        "CREATE TABLE mine (a int)",
        "DELETE FROM report_v1_audit",
        "UPDATE report_v1_audit SET actor = 'x'",
        "DELETE FROM runs",
        "SELECT nextval('audit_id_seq')",
        "CREATE OR REPLACE VIEW report_v1_audit AS SELECT 1",
    ):
        assert "permission denied" in await refusal(reader.url, statement), statement


async def test_what_it_had_before_is_taken(reader: Reader) -> None:
    await execute(reader.owner_url, f"GRANT SELECT ON users TO {reader.role}", f"GRANT ALL ON runs TO {reader.role}")
    await grant(reader.owner_url, "public", reader.role, {"report_v1_runs": "SELECT"})
    found = [await refusal(reader.url, f"TABLE {name}") for name in ("report_v1_runs", "users", "runs")]
    assert (found[0], ["permission denied" in text for text in found[1:]]) == ("", [True, True])


async def test_a_view_that_is_not_granted_is_refused(reader: Reader) -> None:
    await grant(reader.owner_url, "public", reader.role, READER)
    await grant(reader.owner_url, "public", reader.role, {"report_v1_runs": "SELECT"})
    assert "permission denied" in await refusal(reader.url, "SELECT 1 FROM report_v1_audit")


@pytest.mark.parametrize("more", ["SELECT ON tokens", "SELECT (password_hash) ON users", "INSERT ON report_v1_audit"])
async def test_a_role_that_keeps_more_by_public_is_refused_and_gets_nothing(reader: Reader, more: str) -> None:
    await execute(reader.owner_url, f"GRANT {more} TO PUBLIC")
    with pytest.raises(RoleError, match=f"has rights on {more.rsplit(maxsplit=1)[-1]} by PUBLIC"):
        await grant(reader.owner_url, "public", reader.role, READER)
    assert "permission denied" in await refusal(reader.url, "SELECT 1 FROM report_v1_runs")


async def test_a_role_for_workers_has_no_view(reader: Reader) -> None:
    await grant(reader.owner_url, "public", reader.role, WORKER)
    assert "permission denied" in await refusal(reader.url, "SELECT 1 FROM report_v1_runs")


async def test_the_views_of_the_role_are_those_of_the_newest_revision(reader: Reader) -> None:
    async with open_for_migration(reader.owner_url, writes=False) as connection:
        found = await connection.exec_driver_sql("SELECT viewname FROM pg_views WHERE schemaname = 'public'")
        assert {name for name in found.scalars() if name.startswith("report_v")} == set(READER)


async def test_psql_runs_a_ready_query_as_the_document_says(reader: Reader, tmp_path: Path) -> None:
    await grant(reader.owner_url, "public", reader.role, READER)
    found = re.search(r"^\$ (psql -v .+ -f failure-rate\.sql)$", DOCUMENT.read_text("utf-8"), re.MULTILINE)
    assert found is not None
    (tmp_path / "failure-rate.sql").write_text(read_ready()["failure-rate"])
    program = shutil.which("psql") or str(next(Path("/usr/lib/postgresql").glob("*/bin/psql")))
    line = f"{program} {found[1].removeprefix('psql ')} --csv {reader.url}"
    done = await asyncio.create_subprocess_exec(*shlex.split(line), cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
    said, _ = await done.communicate()
    assert (done.returncode, said.decode()) == (0, "created_on,dag_name,runs,failed,failed_percent\n")
