"""What a PostgreSQL server refuses, told in one sentence; TLS; and the least rights that do."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import NullPool, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.migrations.upgrade import head, upgrade
from dagbook.db.url import parse_url
from tests.app.program import CommandLine, CommandResult, end
from tests.certificates import make_certificate
from tests.conftest import ROOT
from tests.db.later_version import install_later
from tests.process.postgres import Cluster
from tests.waiting import wait_until

Command = Callable[..., CommandResult]

# Only the databases that are named may be used without TLS.
_RULES = """
hostssl   all                    all 127.0.0.1/32 password
hostnossl postgres,plain,schemas all 127.0.0.1/32 password
"""
_PASSWORD = "secret"  # noqa: S105 - of the tests


class Guarded:
    """A PostgreSQL server with TLS and roles of the tests' own."""

    def __init__(self, folder: Path) -> None:
        self._cluster = Cluster()
        _, self.certificate = make_certificate(folder)
        data = Path(str(self.value("SHOW data_directory")))
        for name in ("certificate.pem", "key.pem"):
            shutil.copy(folder / name, data)
            os.chown(data / name, data.stat().st_uid, data.stat().st_gid)
            (data / name).chmod(0o600)
        (data / "pg_hba.conf").write_text(_RULES)
        for name in ("plain", "strict", "schemas"):
            self.run(f"CREATE DATABASE {name}")
        self.run("ALTER SYSTEM SET ssl_cert_file = 'certificate.pem'", "ALTER SYSTEM SET ssl_key_file = 'key.pem'")
        self.run("ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")

    def url(self, database: str, user: str = "", host: str = "", **options: str) -> str:
        url = make_url(self._cluster.url).set(database=database, query=options)
        if user:
            url = url.set(username=user, password=_PASSWORD)
        return (url.set(host=host) if host else url).render_as_string(hide_password=False)

    def run(self, *statements: str, database: str = "postgres") -> None:
        asyncio.run(self._run(self.url(database), statements))

    def value(self, statement: str) -> Any:
        return asyncio.run(self.ask(statement, "postgres"))

    async def _run(self, url: str, statements: Any) -> Any:
        engine = create_async_engine(parse_url(url), poolclass=NullPool, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            for statement in statements:
                done = await connection.exec_driver_sql(statement)
            value = done.scalar() if done.returns_rows else None
        await engine.dispose()
        return value

    async def ask(self, statement: str, database: str) -> Any:
        return await self._run(self.url(database), [statement])

    def remove(self) -> None:
        self._cluster.remove()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    server = Guarded(tmp_path_factory.mktemp("tls"))
    server.run(f"CREATE ROLE plain LOGIN PASSWORD '{_PASSWORD}'", *_statements(_FOR_DATABASE))
    yield server
    server.remove()


@pytest.fixture
def refusal(command: Command) -> Callable[[str], str]:
    """Say how a command is refused, which has to be one line."""

    def refused(url: str, *arguments: str) -> str:
        said = command(*(arguments or ("db", "current")), "--database-url", url)
        assert (said.status, said.out, said.err.count("\n")) == (1, "", 1), said
        return said.err.removeprefix("Error: ").rstrip()

    return refused


# -- TLS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca", "verify-full"])
def test_a_server_that_demands_tls_is_used_with_it(postgres: Guarded, command: Command, mode: str) -> None:
    options = {"sslrootcert": str(postgres.certificate)} if mode.startswith("verify") else {}
    said = command("db", "current", "--database-url", postgres.url("strict", sslmode=mode, **options))
    assert (said.status, said.out) == (1, f"empty (newest is {head()})\n"), said.err


def test_a_path_to_the_root_certificate_starts_from_where_it_is_written(
    postgres: Guarded, command: Command, tmp_path: Path
) -> None:
    shutil.copy(postgres.certificate, tmp_path / "root.pem")
    url = postgres.url("strict", sslmode="verify-full", sslrootcert="root.pem")
    (tmp_path / "dagbook.yaml").write_text(f"database_url: {url}\n")
    assert command("db", "current").out == f"empty (newest is {head()})\n"


def test_tls_that_the_server_demands_is_no_wrong_password(postgres: Guarded, refusal: Callable[..., str]) -> None:
    told = refusal(postgres.url("strict", sslmode="disable"))
    assert "PostgreSQL refuses the connection: no pg_hba.conf entry" in told
    assert told.endswith("if the server demands TLS, write sslmode=require or verify-full in database_url")


def test_a_wrong_password_is_one(postgres: Guarded, refusal: Callable[..., str]) -> None:
    url = make_url(postgres.url("plain", "plain")).set(password=f"no {_PASSWORD}").render_as_string(hide_password=False)
    assert "does not accept the user or the password" in refusal(url)


def test_a_certificate_that_nothing_vouches_for_is_told(
    postgres: Guarded, refusal: Callable[..., str], tmp_path: Path
) -> None:
    _, other = make_certificate(tmp_path)
    url = postgres.url("strict", sslmode="verify-ca", sslrootcert=str(other))
    assert "the certificate of PostgreSQL is not trusted: self-signed certificate" in refusal(url)


def test_a_certificate_of_another_host_is_told(postgres: Guarded, refusal: Callable[..., str]) -> None:
    url = postgres.url("strict", host="localhost", sslmode="verify-full", sslrootcert=str(postgres.certificate))
    assert "is not trusted: Hostname mismatch" in refusal(url)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "No such file or directory"), ("a letter", "is not a PEM certificate")]
)
def test_a_root_certificate_that_cannot_be_read_is_named(
    postgres: Guarded, refusal: Callable[..., str], tmp_path: Path, content: str | None, told: str
) -> None:
    root = tmp_path / "root.pem"
    if content is not None:
        root.write_text(content)
    said = refusal(postgres.url("strict", sslmode="verify-full", sslrootcert=str(root)))
    assert said.startswith("the database is unavailable: the root certificate (sslrootcert in database_url) cannot be")
    assert str(root) in said
    assert told in said


def test_a_root_certificate_that_is_nowhere_is_told(
    postgres: Guarded, refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    assert 'root.crt" does not exist' in refusal(postgres.url("strict", sslmode="verify-full"))


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"sslmode": "always"}, "has the sslmode 'always', which is not known; write one of disable, allow, prefer"),
        ({"colour": "red"}, "has an option 'colour' that is not known; known are host, port, sslmode, sslrootcert"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("line", ["db current", "serve --port 0", "start dag.yaml"])
def test_an_option_that_is_not_known_is_named(
    postgres: Guarded, refusal: Callable[..., str], option: dict[str, str], told: str, line: str
) -> None:
    said = refusal(postgres.url("plain", **option), *line.split())
    assert said.startswith("database_url (--database-url): ")
    assert told in said


def test_a_server_without_tls_is_told(postgres_url: str, refusal: Callable[..., str]) -> None:
    url = make_url(postgres_url).update_query_dict({"sslmode": "require"}).render_as_string(hide_password=False)
    assert "PostgreSQL does not offer TLS, which sslmode in database_url requires" in refusal(url)


# -- rights --------------------------------------------------------------------------------------------------------

# What docs/how-to/postgresql.md tells an administrator: once for a database, and once for a schema.
_PAGE = (ROOT / "docs" / "how-to" / "postgresql.md").read_text()
_FOR_DATABASE, _FOR_SCHEMA = re.findall(r"```sql\n(.*?)```", _PAGE, re.DOTALL)


def _statements(block: str, schema: str = "") -> list[str]:
    """Take the statements of the page for a database and a schema of the tests."""
    block = block.replace("DATABASE dagbook", "DATABASE schemas").replace("SCHEMA dagbook", f"SCHEMA {schema}")
    return block.replace("…", _PASSWORD).strip().rstrip(";").split(";\n")


_DAG = "steps:\n  - echo hello\n"


class Rights:
    """A schema with a role for migrations and one for the service."""

    def __init__(self, postgres: Guarded, schema: str) -> None:
        self.postgres, self.schema = postgres, schema
        self.owner, self.service = (postgres.url("schemas", f"dagbook_{role}") for role in ("owner", "service"))

    def admin(self, statement: str) -> None:
        self.postgres.run(statement, database="schemas")


@pytest.fixture
def rights(postgres: Guarded, monkeypatch: pytest.MonkeyPatch) -> Rights:
    made = Rights(postgres, f"flows_{secrets.token_hex(4)}")
    postgres.run(*_statements(_FOR_SCHEMA, made.schema), database="schemas")
    monkeypatch.setenv("DAGBOOK_DATABASE_SCHEMA", made.schema)
    return made


def test_a_role_without_create_is_told_what_to_grant(postgres: Guarded, refusal: Callable[..., str]) -> None:
    told = "the PostgreSQL role plain may not create tables in schema public (setting database_schema); as its owner: "
    for line in (["db", "upgrade"], ["serve", "--port", "0"]):
        assert refusal(postgres.url("plain", "plain"), *line) == told + "GRANT USAGE, CREATE ON SCHEMA public TO plain"


def test_a_schema_that_is_not_there_is_told(
    postgres: Guarded, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGBOOK_DATABASE_SCHEMA", "nowhere")
    for line in (["db", "upgrade"], ["db", "current"], ["doctor"], ["worker"]):
        assert refusal(postgres.url("plain", "plain"), *line).startswith("the database has no schema nowhere")


def test_a_schema_that_may_not_be_used_is_told(rights: Rights, refusal: Callable[..., str]) -> None:
    rights.admin(f"REVOKE USAGE ON SCHEMA {rights.schema} FROM dagbook_service")  # its own schema
    told = f"as its owner: GRANT USAGE ON SCHEMA {rights.schema} TO dagbook_service"
    for line in (["db", "current"], ["doctor"]):
        assert refusal(rights.service, *line).endswith(told)


def test_the_role_of_the_service_leaves_the_upgrade_to_the_owner_of_the_tables(
    rights: Rights, refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dag.yaml").write_text(_DAG)
    asyncio.run(upgrade(rights.owner, schema=rights.schema))
    before = head()
    install_later(monkeypatch, tmp_path)
    told = refusal(rights.service, "start", str(tmp_path / "dag.yaml"))
    assert f"revision {before}" in told
    assert told.endswith("the tables belong to dagbook_owner; run dagbook db upgrade as that role")


def test_a_check_without_the_right_to_make_a_schema_is_told_what_to_grant(
    rights: Rights, refusal: Callable[..., str], command: Command
) -> None:
    assert command("db", "upgrade", "--database-url", rights.owner).status == 0
    told = refusal(rights.owner, "db", "check")
    assert told.endswith("GRANT CREATE ON DATABASE schemas TO dagbook_owner, or check as another role")
    checked = command("db", "check", "--database-url", rights.postgres.url("schemas"))
    assert (checked.status, checked.out) == (0, "the schema is correct\n"), checked.err


def test_a_right_on_a_table_that_was_taken_away_is_told(
    rights: Rights, refusal: Callable[..., str], command: Command
) -> None:
    command("db", "upgrade", "--database-url", rights.owner)
    rights.admin(f"REVOKE SELECT ON TABLE {rights.schema}.runs FROM dagbook_service")  # noqa: S608  # its own schema
    denied = "a privilege that Dagbook needs: permission denied for table runs"
    assert refusal(rights.service, "doctor").endswith(denied)


def test_the_search_path_of_the_role_does_not_count(rights: Rights, command: Command) -> None:
    command("db", "upgrade", "--database-url", rights.owner)
    rights.admin("ALTER ROLE dagbook_service SET search_path = public")
    assert command("db", "current", "--database-url", rights.service).out == f"{head()}\n"
    rights.admin("ALTER ROLE dagbook_service RESET search_path")


async def test_server_and_worker_do_with_the_least_rights_in_a_schema_of_their_own(
    rights: Rights, tmp_path: Path
) -> None:
    settings = {"database_schema": rights.schema, "secret_key": "0123456789abcdef" * 2}
    owner = CommandLine(tmp_path, rights.owner, **settings)
    assert (await owner.run("db", "upgrade")).status == 0
    line = CommandLine(tmp_path, rights.service, **settings)
    async with line.server() as address, httpx.AsyncClient(base_url=f"{address}/api/v2") as client:
        worker = await line.begin("worker", "--label", "gpu=true")
        try:
            for spec in (_DAG, 'workerSelector: {gpu: "true"}\n' + _DAG):
                run_id = (await client.post("/dag-runs", json={"name": "dag", "spec": spec})).json()["dagRunId"]
                await wait_until(partial(_is_over, client, run_id))
            assert (await line.run("doctor")).status == 0
            assert (await line.run("audit", "verify")).status == 0
        finally:
            worker.terminate()
            await end(worker)
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await rights.postgres.ask(tables, database="schemas") == 0


async def _is_over(client: httpx.AsyncClient, run_id: str) -> bool:
    run = (await client.get(f"/dag-runs/dag/{run_id}")).json()["dagRunDetails"]
    assert run["statusLabel"] in ("queued", "running", "not_started", "succeeded"), run
    return bool(run["statusLabel"] == "succeeded")
