"""The trace of a run arrives although the server is killed between its end and the delivery, with the same ids."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.otlp import Received, read
from tests.process.program import Program
from tests.process.waiting import wait_for

HOST = "127.0.0.1"


class Collector:
    """A receiver that says nothing until it is told to accept; it keeps what it was sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.accepts = threading.Event()
        self.ends = threading.Event()
        self.url = ""

    def take(self, body: bytes) -> bool:
        self.bodies.append(body)
        while not self.ends.wait(0.05):
            if self.accepts.is_set():
                return True
        return False


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if collector.take(self.rfile.read(int(self.headers["Content-Length"]))):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://{HOST}:{server.server_port}/v1/traces"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _spec(collector: Collector) -> str:
    steps = "steps: [{name: a, command: echo $TRACEPARENT}, {name: b, command: exit 1}]"
    return f"otel: {{enabled: true, endpoint: '{collector.url}'}}\n{steps}\n"


def _status(program: Program, run_id: str) -> str:
    found = program.api.client.get(f"/dag-runs/flow/{run_id}/alerts").json()["receipts"]
    return str(found[0]["status"]) if found else ""


def _spans(body: bytes) -> list[dict[str, object]]:
    return [span.raw for span in read(body)]


def test_a_server_that_is_killed_while_it_sends_a_trace_leaves_it_to_the_next(program: Program) -> None:
    _kill_and_deliver(program, 1)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_no_trace_is_lost_however_often_servers_are_killed(program: Program) -> None:
    # On PostgreSQL the next server sends what a dead one has begun only after the lease of that one, of 75 s.
    _kill_and_deliver(program, 20 if program.database_url.startswith("sqlite") else 3)


def _kill_and_deliver(program: Program, kills: int) -> None:
    with collecting() as collector:
        run_id = program.api.start(_spec(collector))
        for number in range(1, kills + 1):
            wait_for("a try", lambda: len(collector.bodies) >= number, seconds=150)  # noqa: B023 - waited for at once
            program.kill()
            program.start()
        collector.accepts.set()
        wait_for("the trace", lambda: _status(program, run_id) == "sent", seconds=150)
    first, *others = [_spans(body) for body in collector.bodies]
    assert len(others) >= kills
    assert all(each == first for each in others)
    root, *steps = [Received(span, {}) for span in first]
    assert [each.name for each in steps] == ["Step: a", "Step: b"]
    log = program.api.client.get(f"/dag-runs/flow/{run_id}/steps/a/log").json()["content"].strip()
    assert log == f"00-{root.raw['traceId']}-{steps[0].id}-01"
