"""What carries offers from servers to workers: each goes to somebody who fits, and is not lost with him."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from pgqueuer.domain.settings import DBSettings
from sqlalchemy import text

from app.db.database import Database
from app.db.failure import DatabaseUnavailable
from app.queue.carrier import NoCarrier
from app.queue.remote import PgQueuerCarrier, make_carrier
from tests.conftest import ROOT, PostgresCopies

GPU, BIG = {"gpu": "true"}, {"gpu": "true", "zone": "a"}


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    """Address of a database of PostgreSQL: no other carries anything."""
    copies = PostgresCopies(postgres_url)
    await copies.prepare()
    async for address in copies.copy():
        yield address
    await copies.remove()


@pytest.fixture
async def carrier(url: str) -> AsyncIterator[PgQueuerCarrier]:
    opened = PgQueuerCarrier(url)
    yield opened
    await opened.close()


@pytest.fixture
async def another(url: str) -> AsyncIterator[PgQueuerCarrier]:
    opened = PgQueuerCarrier(url)
    yield opened
    await opened.close()


async def _count(url: str) -> tuple[int, ...]:
    database = await Database.open(url)
    counted = text("SELECT (SELECT count(*) FROM pgqueuer), (SELECT count(*) FROM pgqueuer_log)")
    counts = await database.read(lambda connection: connection.execute(counted).one())
    await database.close()
    return tuple(counts)


async def test_an_offer_goes_to_a_worker_that_has_all_its_labels(carrier: PgQueuerCarrier) -> None:
    await carrier.offer({1: BIG, 2: GPU})
    assert await carrier.take({"zone": "a"}, 9) == ()
    assert [offer.run for offer in await carrier.take(GPU, 9)] == [2]
    assert [offer.run for offer in await carrier.take(BIG | {"more": "1"}, 9)] == [1]


async def test_no_more_offers_are_taken_up_than_wanted_and_the_oldest_first(carrier: PgQueuerCarrier) -> None:
    await carrier.offer({1: GPU, 2: GPU, 3: GPU})
    assert [offer.run for offer in await carrier.take(GPU, 2)] == [1, 2]


async def test_what_is_offered_again_or_has_been_taken_up_is_offered_once(
    carrier: PgQueuerCarrier, another: PgQueuerCarrier
) -> None:
    await carrier.offer({1: GPU})
    await another.offer({1: GPU, 2: GPU})
    taken = await carrier.take(GPU, 9)
    await another.offer({1: GPU})
    assert [offer.run for offer in taken] == [1, 2]
    assert await another.take(GPU, 9) == []


async def test_what_is_settled_leaves_nothing_behind_and_may_be_offered_again(
    carrier: PgQueuerCarrier, url: str
) -> None:
    await carrier.offer({1: GPU})
    await carrier.settle(await carrier.take(GPU, 9))
    assert await _count(url) == (0, 0)
    await carrier.offer({1: GPU})
    assert [offer.run for offer in await carrier.take(GPU, 9)] == [1]


async def test_what_a_silent_worker_has_taken_up_goes_to_another(
    carrier: PgQueuerCarrier, another: PgQueuerCarrier, url: str
) -> None:
    await carrier.offer({1: GPU})
    await carrier.take(GPU, 9)
    database = await Database.open(url)
    ago = "UPDATE pgqueuer SET heartbeat = heartbeat - interval '1 minute'"
    await database.write(lambda connection: connection.exec_driver_sql(ago))
    await database.close()
    assert [offer.run for offer in await another.take(GPU, 9)] == [1]


async def test_a_connection_that_is_lost_is_opened_again(carrier: PgQueuerCarrier, url: str) -> None:
    await carrier.offer({1: GPU})
    database = await Database.open(url)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dagbook carrier'"
    await database.write(lambda connection: connection.execute(text(end)).all())
    await database.close()
    with suppress(DatabaseUnavailable):  # who uses it while it is being lost is told so
        await carrier.take({}, 9)
    assert [offer.run for offer in await carrier.take(GPU, 9)] == [1]


async def test_nothing_is_carried_through_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    carrier = make_carrier(f"sqlite:///{tmp_path}/one.sqlite3")
    assert isinstance(carrier, NoCarrier)
    for _ in range(2):
        await carrier.offer({1: GPU})
    assert len(caplog.records) == 1
    assert await carrier.take(GPU, 9) == ()


def test_the_migration_makes_what_the_locked_version_of_the_library_makes() -> None:
    made = QueryBuilderEnvironment(settings=DBSettings(prefix="", db_schema=None)).build_install_query()
    kept = (ROOT / "migrations" / "pgqueuer" / "1.6.0.sql").read_text(encoding="utf-8")
    assert made.strip() == kept.strip()
