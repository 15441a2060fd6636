"""Several servers on one PostgreSQL database that look for what no event tells; the real times take minutes."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.process import conftest, invariants, store
from tests.process.postgres import Cluster
from tests.process.program import Program
from tests.process.waiting import wait_for

SPEED = 20
REAL = (pytest.mark.full, pytest.mark.timeout(1_200))
SPEEDS = [SPEED, pytest.param(1, marks=REAL)]


class Receiver:
    """A receiver of alerts in threads of this process, which keeps what it was sent and when."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.asked.append((time.monotonic(), self.path, body))
                self.send_response(200)
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the library's name

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def alerts(self) -> list[tuple[str, str, str]]:
        """Type, kind and subject of the alerts that it was sent."""
        bodies = [json.loads(body) for _, path, body in self.asked if path == "/hook"]
        return [(body["type"], body["data"]["alert"]["kind"], body["data"]["alert"]["subject"]) for body in bodies]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


class Servers(list[Program]):
    """Three servers with one home: one machine."""

    def post(self, path: str, **body: Any) -> None:
        answer = self[-1].api.client.post(path, json=body)
        assert answer.is_success, answer.text

    def open(self) -> list[Any]:
        """The open alerts."""
        found: list[Any] = self[-1].api.client.get("/alerts", params={"open": "true"}).json()["alerts"]
        return found


@pytest.fixture
def servers(tmp_path: Path, cluster: Cluster, speed: int) -> Iterator[Servers]:
    url, home, settings = cluster.make_database(), tmp_path / "home", {"test_alert_speed": str(speed)}
    if speed > 1:
        settings["lease_seconds"] = "2"
    found = Servers(Program(home, url, log=tmp_path / f"{number}.log", settings=settings) for number in range(3))
    try:
        for server in found:
            server.start()
        yield found
    finally:
        for server in found:
            conftest.end(server)
    assert invariants.find_violations(url) == []


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_killed_server_is_told_with_its_host_and_one_that_was_stopped_is_not(
    servers: Servers, receiver: Receiver, speed: int
) -> None:
    stopped, killed, _ = servers
    # One that begins after the last sign of life of another one takes its place.
    alive = "SELECT 1 FROM services WHERE heartbeat_at > (SELECT max(started_at) FROM services)"
    wait_for("signs of life", lambda: len(store.query(killed.database_url, alive)) == len(servers))
    servers.post("/alert-channels", name="hook", type="webhook", url=f"{receiver.url}/hook")
    servers.post("/alert-rules", name="all", match=["*"], on=["server"], to=["hook"])
    assert stopped.terminate() == 0
    killed.kill()
    began, subject = time.monotonic(), f"server on {socket.gethostname()}"
    wait_for("the alert", receiver.alerts, seconds=150)
    assert speed > 1 or time.monotonic() - began <= 100
    assert [alert["count"] for alert in servers.open()] == [1]
    killed.start()
    wait_for("its end", lambda: len(receiver.alerts()) == 2)
    assert receiver.alerts() == [("alert.opened", "server", subject), ("alert.closed", "server", subject)]


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_heartbeat_comes_from_one_server_at_a_time_and_from_none_that_is_suspended(
    servers: Servers, receiver: Receiver, speed: int
) -> None:
    every = 60 / speed
    servers.post("/alert-channels", name="alive", type="ping", url=f"{receiver.url}/alive", everySeconds=60)
    wait_for("heartbeats", lambda: len(receiver.asked) > 10, seconds=800)
    # The whole, because one that a busy machine sends late is followed by a shorter pause.
    (first, _, _), (last, _, _) = receiver.asked[0], receiver.asked[10]
    assert last - first >= 0.8 * 10 * every
    for server in servers:
        server.send(signal.SIGSTOP)
    try:
        received = len(receiver.asked)
        time.sleep(2 * every)
        assert len(receiver.asked) <= received + 1  # one may have been under way
    finally:
        for server in servers:
            server.send(signal.SIGCONT)
    wait_for("one more", lambda: len(receiver.asked) > received + 1)
    assert {path for _, path, _ in receiver.asked} == {"/alive"}


@pytest.mark.parametrize("speed", SPEEDS[1:])  # tests/app/test_alert_heartbeat.py has it with divided times
def test_without_a_scheduler_the_heartbeat_reports_a_failure_within_four_minutes(
    servers: Servers, receiver: Receiver
) -> None:
    servers.post("/dags", name="nightly", spec="schedule: '0 2 * * *'\nsteps: [{name: a, command: 'true'}]\n")
    for server in servers:
        assert server.terminate() == 0
        server.schedules = False
        server.start()
    began = time.monotonic()
    servers.post("/alert-channels", name="alive", type="ping", url=f"{receiver.url}/alive", everySeconds=60)
    wait_for("a failure", lambda: [one for one in receiver.asked if one[1] == "/alive/fail"], seconds=300)
    assert time.monotonic() - began <= 240
    assert b"no server has started what is due by schedule since" in receiver.asked[-1][2]
