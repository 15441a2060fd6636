"""Servers at work while a later version changes the tables of their PostgreSQL database."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from dagbook.db.migrations.upgrade import downgrade, head, upgrade
from tests.db.later_version import install_later
from tests.process import conftest, invariants
from tests.process.postgres import Cluster
from tests.process.program import Api, Program

_ROUNDS = 5
_CLIENTS = 3
_SPEC = """
maxActiveRuns: 1000
steps:
  - name: first
    command: echo one
  - name: second
    command: echo two
    depends: first
"""


@pytest.fixture
def server(tmp_path: Path, cluster: Cluster) -> Iterator[Program]:
    started = Program(tmp_path / "home", cluster.make_database())
    try:
        yield started.start()
    finally:
        conftest.end(started)
    assert invariants.find_violations(started.database_url) == []


class _Clients:
    """Clients that start runs and look at them one after the other, and what they were answered."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.runs: list[str] = []
        self.refused: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        over = threading.Event()
        with ThreadPoolExecutor(_CLIENTS) as pool:
            working = [pool.submit(self._work, over, number) for number in range(_CLIENTS)]
            try:
                yield
            finally:
                over.set()
        for future in working:
            future.result()

    def _work(self, over: threading.Event, number: int) -> None:
        api = Api(self.address)
        for count in itertools.takewhile(lambda _: not over.is_set(), itertools.count()):
            run_id = f"c{number}-{count}"
            started = api.post_run(_SPEC, run_id=run_id)
            seen = api.client.get(f"/dag-runs/flow/{run_id}"), api.client.get("/dag-runs", params={"limit": 20})
            self.refused += [answer.text for answer in (started, *seen) if not answer.is_success]
            self.runs.append(run_id)
        api.client.close()


def test_upgrades_under_load_refuse_no_request_and_fail_no_run(
    server: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = head()
    install_later(monkeypatch, tmp_path)
    clients = _Clients(str(server.api.client.base_url).removesuffix("/api/v2/"))
    with clients.at_work():
        for _ in range(_ROUNDS):
            asyncio.run(upgrade(server.database_url))
            asyncio.run(downgrade(server.database_url, here))
    assert clients.refused == []
    ended = {server.api.ended(run_id)["statusLabel"] for run_id in clients.runs}
    assert ended == {"succeeded"}
    assert len(clients.runs) > _ROUNDS


def test_a_server_goes_on_when_a_later_version_has_changed_the_tables(
    server: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.api.start(_SPEC)
    install_later(monkeypatch, tmp_path)
    asyncio.run(upgrade(server.database_url))
    runs = [before, server.api.start(_SPEC)]
    assert [server.api.ended(run_id)["statusLabel"] for run_id in runs] == ["succeeded", "succeeded"]
