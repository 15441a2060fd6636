"""The transport of offers from servers to workers: each goes to one worker that fits, and survives its death."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.domain.settings import DBSettings
from sqlalchemy import text

from dagbook.db.database import Database
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import services
from dagbook.queues.worker.transport import NullTransport, PgQueuerTransport, make_transport
from dagbook.runs.server_context import ServerIdentity
from tests.app.dagbook import client_of, serving
from tests.conftest import ROOT, PostgresCopies

pytestmark = pytest.mark.both_engines

GPU, BIG = {"gpu": "true"}, {"gpu": "true", "zone": "a"}


@pytest.fixture
async def url(postgres_copies: PostgresCopies) -> AsyncIterator[str]:
    """Address of a database of PostgreSQL: no other carries anything."""
    async for address in postgres_copies.copy():
        yield address


@pytest.fixture
async def transport(url: str) -> AsyncIterator[PgQueuerTransport]:
    opened = PgQueuerTransport(url)
    yield opened
    await opened.close()


@pytest.fixture
async def another(url: str) -> AsyncIterator[PgQueuerTransport]:
    opened = PgQueuerTransport(url)
    yield opened
    await opened.close()


async def _count(url: str) -> tuple[int, ...]:
    database = await Database.open(url)
    counted = text("SELECT (SELECT count(*) FROM pgqueuer), (SELECT count(*) FROM pgqueuer_log)")
    counts = await database.read(lambda connection: connection.execute(counted).one())
    await database.close()
    return tuple(counts)


async def test_an_offer_goes_to_a_worker_that_has_all_its_labels(transport: PgQueuerTransport) -> None:
    await transport.offer({1: BIG, 2: GPU})
    assert await transport.take({"zone": "a"}, 9) == ()
    assert [offer.run for offer in await transport.take(GPU, 9)] == [2]
    assert [offer.run for offer in await transport.take(BIG | {"more": "1"}, 9)] == [1]


async def test_at_most_the_given_number_of_offers_is_taken_oldest_first(transport: PgQueuerTransport) -> None:
    await transport.offer({1: GPU, 2: GPU, 3: GPU})
    assert [offer.run for offer in await transport.take(GPU, 2)] == [1, 2]


async def test_a_run_is_offered_once(transport: PgQueuerTransport, another: PgQueuerTransport) -> None:
    await transport.offer({1: GPU})
    await another.offer({1: GPU, 2: GPU})
    taken = await transport.take(GPU, 9)
    await another.offer({1: GPU})
    assert [offer.run for offer in taken] == [1, 2]
    assert await another.take(GPU, 9) == []


async def test_a_removed_offer_leaves_no_rows_and_can_be_repeated(transport: PgQueuerTransport, url: str) -> None:
    await transport.offer({1: GPU})
    await transport.remove(await transport.take(GPU, 9))
    assert await _count(url) == (0, 0)
    await transport.offer({1: GPU})
    assert [offer.run for offer in await transport.take(GPU, 9)] == [1]


async def test_the_offer_of_a_silent_worker_goes_to_another(
    transport: PgQueuerTransport, another: PgQueuerTransport, url: str
) -> None:
    await transport.offer({1: GPU})
    await transport.take(GPU, 9)
    database = await Database.open(url)
    ago = "UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 minute'"
    await database.write(lambda connection: connection.exec_driver_sql(ago))
    await database.close()
    assert [offer.run for offer in await another.take(GPU, 9)] == [1]


async def test_a_connection_that_is_lost_is_opened_again(transport: PgQueuerTransport, url: str) -> None:
    await transport.offer({1: GPU})
    database = await Database.open(url)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dagbook transport'"
    await database.write(lambda connection: connection.execute(text(end)).all())
    await database.close()
    with suppress(DatabaseUnavailable):  # who uses it while it is being lost is told so
        await transport.take({}, 9)
    assert [offer.run for offer in await transport.take(GPU, 9)] == [1]


async def test_sqlite_has_no_transport(tmp_path: Path) -> None:
    transport = make_transport(f"sqlite:///{tmp_path}/one.sqlite3")
    assert isinstance(transport, NullTransport)
    await transport.offer({1: GPU})
    assert await transport.take(GPU, 9) == ()


async def test_the_wait_reason_of_a_run_for_workers_names_the_missing_extra(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Uninstalling the library would take it from everybody else's tests.
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "dagbook.queues.worker.transport.find_spec", lambda name: None if name == "pgqueuer" else find(name)
    )
    async with serving(url, tmp_path) as server, client_of(server) as client:
        later = datetime.now(UTC) + timedelta(minutes=5)
        identity = ServerIdentity(
            id="w",
            kind="worker",
            host="elsewhere",
            boot_id="b",
            pid_namespace="n",
            pid=7,
            pid_started=0,
            address="",
            version="1",
            name="w",
            labels=GPU,
            capacity=1,
        )
        worker = identity.registered(later, 0)
        await server.services.runs.database.write(lambda connection: services.add(connection, worker))
        spec = "workerSelector: {gpu: 'true'}\nsteps: [{name: a, command: 'true'}]\n"
        run_id = (await client.post("/dag-runs", json={"name": "sent", "spec": spec})).json()["dagRunId"]
        run = (await client.get(f"/dag-runs/sent/{run_id}")).json()["dagRunDetails"]
    assert (run["statusLabel"], run["waitingFor"]["reason"]) == ("queued", "noWorker")
    assert run["waitingFor"]["message"] == (
        "the servers cannot hand it to a worker, because they lack the extra distributed; "
        "pip install 'dagbook[distributed]' where dagbook serve runs"
    )


def test_the_migration_creates_the_schema_of_the_locked_library() -> None:
    made = QueryBuilderEnvironment(settings=DBSettings(prefix="", db_schema=None)).build_install_query()
    kept = (ROOT / "migrations" / "pgqueuer" / "1.6.0.sql").read_text(encoding="utf-8")
    assert made.strip() == kept.strip()
