"""Two servers on one PostgreSQL database: one takes over what the other has lost, and none does a thing twice."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine

from dagbook.db.database import WriteConnection
from dagbook.db.repositories import services
from dagbook.db.url import parse_url
from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program, node
from tests.process.waiting import wait_for

T = TypeVar("T")
_TAKE_OVER_SECONDS = 10


class Pair(NamedTuple):
    """Two servers with one home: one machine."""

    first: Program
    second: Program

    def begin_elsewhere(self) -> None:
        """Let the second server believe that the first one's process is gone, although it lives."""
        own = "UPDATE services SET pid_started = pid_started + 1 WHERE address = :address"
        address = str(self.first.api.client.base_url).removesuffix("/api/v2/")
        store.write(self.first.database_url, lambda connection: connection.execute(text(own), {"address": address}))


@pytest.fixture
def pair(tmp_path: Path, cluster: Cluster) -> Iterator[Pair]:
    url = cluster.make_database()
    home = tmp_path / "home"
    servers = Pair(Program(home, url, log=tmp_path / "first.log"), Program(home, url, log=tmp_path / "second.log"))
    try:
        servers.first.start()
        servers.second.start()
        yield servers
    finally:
        for server in servers:
            conftest.end(server)
    assert invariants.find_violations(url) == []


def _spec(directory: Path) -> str:
    return f"""
maxActiveRuns: 100
steps:
  - name: first
    command: |
      echo "$DAG_RUN_ID first" >>{directory}/witness
      echo begun
      while [ ! -e {directory}/go ]; do sleep 0.05; done
      echo ended
  - name: second
    command: echo "$DAG_RUN_ID second" >>{directory}/witness
"""


def _witness(directory: Path) -> list[str]:
    path = directory / "witness"
    return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.mark.always
def test_the_runs_of_a_killed_server_are_taken_over_within_ten_seconds(pair: Pair, tmp_path: Path) -> None:
    run_ids = [pair.first.api.start(_spec(tmp_path)) for _ in range(3)]
    run_ids += [pair.second.api.start(_spec(tmp_path))]
    wait_for("all steps", lambda: len(_witness(tmp_path)) == len(run_ids))
    killed = time.monotonic()
    pair.first.kill()
    owners = "SELECT DISTINCT owner FROM run_attempts"
    wait_for(
        "one owner", lambda: len(store.query(pair.second.database_url, owners)) == 1, seconds=_TAKE_OVER_SECONDS
    )  # fmt: skip
    assert time.monotonic() - killed < _TAKE_OVER_SECONDS
    (tmp_path / "go").touch()
    for run_id in run_ids:
        assert pair.second.api.ended(run_id)["statusLabel"] == "succeeded"
        assert pair.second.api.log(run_id, "first") == "begun\nended"
    assert _witness(tmp_path) == sorted(f"{run_id} {step}" for run_id in run_ids for step in ("first", "second"))


def test_a_run_whose_row_is_locked_holds_up_the_take_over_of_no_other(pair: Pair, tmp_path: Path) -> None:
    """As by a server that fell asleep inside a transaction."""
    for _ in range(2):
        pair.first.api.start(_spec(tmp_path))
    wait_for("both steps", lambda: len(_witness(tmp_path)) == 2)
    locked, free = (row.run_id for row in store.query(pair.first.database_url, "SELECT run_id FROM runs ORDER BY id"))

    def hold(connection: WriteConnection) -> None:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.exec_driver_sql("SELECT * FROM run_attempts ORDER BY run_id LIMIT 1 FOR UPDATE")
        pair.first.kill()
        (tmp_path / "go").touch()
        assert pair.second.api.ended(free)["statusLabel"] == "succeeded"
        assert pair.second.api.run(locked)["statusLabel"] == "running"

    store.write(pair.first.database_url, hold)
    assert pair.second.api.ended(locked)["statusLabel"] == "succeeded"


async def _sleeping(pair: Pair, look: Callable[[], T]) -> T:
    """Look at something while a session sleeps that has locked all runs.

    It fell asleep between two messages of one statement, where PostgreSQL would wait for it for ever.
    """
    named = {"server_settings": {"application_name": "dagbook"}}
    engine = create_async_engine(parse_url(pair.first.database_url), poolclass=NullPool, connect_args=named)
    async with engine.connect() as connection:
        sleeper: Any = (await connection.get_raw_connection()).driver_connection
        await sleeper.execute("BEGIN; SELECT * FROM run_attempts FOR UPDATE")
        await sleeper.prepare("SELECT 1")  # whose end asyncpg sends with the execution
        found = await asyncio.to_thread(look)
        await connection.invalidate()
    return found


def test_a_run_that_a_sleeping_server_keeps_locked_is_taken_over_all_the_same(pair: Pair, tmp_path: Path) -> None:
    run_id = pair.first.api.start(_spec(tmp_path))
    wait_for("the step", lambda: _witness(tmp_path))
    pair.first.kill()
    (tmp_path / "go").touch()
    run = asyncio.run(_sleeping(pair, lambda: pair.second.api.ended(run_id)))
    assert run["statusLabel"] == "succeeded"


def test_what_a_sleeping_server_keeps_locked_of_a_run_that_another_one_drives_is_let_go(
    pair: Pair, tmp_path: Path
) -> None:
    run_id = pair.second.api.start(_spec(tmp_path))
    wait_for("the step", lambda: _witness(tmp_path))

    def end() -> dict[str, Any]:
        (tmp_path / "go").touch()
        return pair.second.api.ended(run_id)

    assert asyncio.run(_sleeping(pair, end))["statusLabel"] == "succeeded"


@pytest.mark.always
def test_a_server_that_was_fenced_off_while_it_slept_writes_nothing_more(pair: Pair, tmp_path: Path) -> None:
    run_id = pair.first.api.start(_spec(tmp_path))
    wait_for("the step", lambda: _witness(tmp_path))
    pair.first.send(signal.SIGSTOP)
    pair.begin_elsewhere()
    (tmp_path / "go").touch()
    run = pair.second.api.ended(run_id)
    events = store.query(pair.second.database_url, "SELECT * FROM run_events ORDER BY seq")
    pair.first.send(signal.SIGCONT)
    wait_for("the first server to notice", lambda: "has another owner now" in pair.first.log_text())
    assert run["statusLabel"] == "succeeded"
    assert store.query(pair.second.database_url, "SELECT * FROM run_events ORDER BY seq") == events
    assert pair.first.api.run(run_id) == run
    assert _witness(tmp_path) == [f"{run_id} first", f"{run_id} second"]


def test_a_step_that_a_fenced_off_server_was_about_to_begin_begins_once(pair: Pair, tmp_path: Path) -> None:
    """The first server falls asleep between the commit that lets a step begin and its process."""
    spec = f"""
steps:
  - name: only
    env:
      - SLOW: "`touch {tmp_path}/asking; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo asked`"
    command: echo "$DAG_RUN_ID" >>{tmp_path}/witness
"""
    run_id = pair.first.api.start(spec)
    wait_for("the step's texts to be evaluated", (tmp_path / "asking").exists)
    pair.first.send(signal.SIGSTOP)
    (tmp_path / "asking").unlink()
    pair.begin_elsewhere()
    wait_for("the other server", (tmp_path / "asking").exists)
    (tmp_path / "go").touch()
    run = pair.second.api.ended(run_id)
    pair.first.send(signal.SIGCONT)
    wait_for("the first server to notice", lambda: "has another owner now" in pair.first.log_text())
    assert (run["statusLabel"], node(run, "only")["statusLabel"]) == ("succeeded", "succeeded")
    assert _witness(tmp_path) == [run_id]


def test_a_server_whose_runs_were_ended_meanwhile_leaves_no_process_of_them(pair: Pair, tmp_path: Path) -> None:
    """As when another machine has waited for it in vain: the run is over, its step is not."""
    run_id = pair.first.api.start(_spec(tmp_path))
    wait_for("the step", lambda: _witness(tmp_path))
    pair.second.kill()
    pair.first.send(signal.SIGSTOP)
    wait_for("an end of what it keeps locked", lambda: store.write(pair.first.database_url, _is_nothing_locked))
    store.write(pair.first.database_url, _end_all_runs)
    pair.first.send(signal.SIGCONT)
    wait_for("the end of the step", lambda: not pair.first.shims())
    assert pair.first.api.run(run_id)["statusLabel"] == "failed"
    assert _witness(tmp_path) == [f"{run_id} first"]


def _is_nothing_locked(connection: WriteConnection) -> bool:
    """See to what a living server of the other machine would see to, in case ours fell asleep in a transaction."""
    services.terminate_stuck_sessions(connection, seconds=0)
    others = "pid <> pg_backend_pid() AND datname = current_database() AND xact_start IS NOT NULL"
    return not connection.exec_driver_sql(f"SELECT 1 FROM pg_stat_activity WHERE {others}").first()  # noqa: S608


def _end_all_runs(connection: WriteConnection) -> None:
    for statement in (
        "UPDATE nodes SET status = 2, finished_at = started_at WHERE status = 1",
        """INSERT INTO run_events (run_id, seq, attempt, at, position, data)
           SELECT id, (SELECT MAX(seq) + 1 FROM run_events), 1, created_at, NULL, '{"status":2,"phase":"closed"}'
           FROM runs""",
        "UPDATE runs SET status = 2, finished_at = started_at",
        "UPDATE run_attempts SET status = 2, closed_at = opened_at, token = token + 1",
    ):
        connection.exec_driver_sql(statement)
