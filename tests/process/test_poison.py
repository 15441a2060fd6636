"""Texts that never end or explode: the server answers, the run ends with the reason, the server can be ended (S14)."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import pytest

from tests.process.program import Program, node
from tests.process.waiting import wait_for

# What becomes of texts has nothing to do with the database.
pytestmark = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)

HEALTH_SECONDS, LONG_TEXT_SECONDS = 1.0, 0.3
RUN_SECONDS, END_SECONDS = 45.0, 20.0
ATTEMPTS = 3  # a busy machine delays answers as well; a server that does not answer is late each time
SIZE = 2**20


class Pulse:
    """Asks for ``/health`` over one connection all the time, and keeps the longest wait for an answer."""

    def __init__(self, api: httpx.Client) -> None:
        address = urlsplit(str(api.base_url))
        self._head = f"GET /api/v2/health HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
        self._socket = socket.create_connection((address.hostname or "", address.port or 0), timeout=60)
        self._stopped, self._asked = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat)
        self.worst = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._asked.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()

    def _beat(self) -> None:
        while not self._stopped.wait(0.01):
            begun = time.monotonic()
            self._socket.sendall(self._head)
            if not self._socket.recv(65536).startswith(b"HTTP/1.1 200"):
                self.worst = float("inf")
            self.worst = max(self.worst, time.monotonic() - begun)
            self._asked.set()


def fill(head: str, item: str, tail: str = "") -> str:
    """Repeat an item up to the largest size of a text."""
    return head + item * ((SIZE - 100 - len(head) - len(tail)) // len(item)) + tail


LONG_TEXTS = {
    "schedules": fill("schedule:\n", '- "* * * * *"\n'),
    "documents": "".join(f"---\nname: a{number}\nsteps: [a]\n" for number in range(30_000)),
    "problems": fill("", "---\na: 1\n"),
    "steps": "steps:\n" + "".join(f"- {{name: s{number}, command: a, env: [A=b, C=d]}}\n" for number in range(5_000)),
    "words": fill("steps: [{command: '", "a ", "'}]"),
    "params": fill("params: '", "a=b ", "'"),
    "values": fill("steps:\n", "- a\n"),
    "brackets": fill("", "["),
    "aliases": fill("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc:\n", "- *b\n"),
}


def _late(api: httpx.Client, work: Callable[[], httpx.Response]) -> str:
    """Return how late ``/health`` was answered while a request was, if too late each time."""
    worst = []
    for _ in range(ATTEMPTS):
        with Pulse(api) as pulse:
            answer = work()
        assert answer.status_code in (200, 201, 400, 409), answer.text[:200]
        worst.append(pulse.worst)
        if pulse.worst < LONG_TEXT_SECONDS:
            return ""
    return f"{answer.request.method} {answer.request.url.path}: {min(worst):.2f} s"


@pytest.mark.parametrize("name", LONG_TEXTS)
def test_a_mebibyte_to_validate_save_or_start_delays_no_other_answer(program: Program, name: str) -> None:
    client, numbers = program.api.client, itertools.count()

    def post(path: str, **body: str) -> Callable[[], httpx.Response]:
        """Send another text each time: none of them is cached."""
        return lambda: client.post(path, json={**body, "spec": f"{LONG_TEXTS[name]}\n# {next(numbers)}"})

    requests = [post("/dags/validate"), post("/dags", name=name), post("/dag-runs", name=f"r{name}")]
    assert [found for found in (_late(client, request) for request in requests) if found] == []


MANY_LETTERS = f"head -c {SIZE} /dev/zero | tr '\\0' a; exit 1"


def step(**fields: Any) -> str:
    return json.dumps({"steps": [{"name": "a", **fields}]})


# Each poison: a definition, and what the error of its step contains.
POISON = {
    "jq-without-memory": (
        step(executor="jq", command='reduce range(60) as $i ("a"; . + .) | length', script="1"),
        "the program needs more than 1024 MiB of memory",
    ),
    "repetition-in-continue-on": (
        step(script=MANY_LETTERS, continueOn={"output": ["re:^(a+)+b$", "re:(a|a)*b"]}),
        "exit",
    ),
    "too-large-for-the-output": (
        step(script=MANY_LETTERS, continueOn={"output": r"re:(\pL{10}){5}\d"}),
        "continueOn.output was not found: is too large for a text of",
    ),
}
LONG_POISON = {
    "jq-without-end": (
        step(executor="jq", command="def f: f; f", script="1"),
        "jq: the program took ",
    ),
    "jq-without-results": (
        step(executor="jq", command="repeat(1) | empty", script="1"),
        "jq: the program took ",
    ),
}


def _end_with_reason(program: Program, poison: dict[str, tuple[str, str]]) -> None:
    """Start all of them and wait for their ends."""
    api = program.api
    with Pulse(api.client) as pulse:
        runs = {name: api.start(spec, name=name) for name, (spec, _) in poison.items()}
        ended = {name: api.ended(run_id, name=name, seconds=RUN_SECONDS) for name, run_id in runs.items()}
    assert {run["statusLabel"] for run in ended.values()} == {"failed"}
    errors = {name: node(run, "a").get("error", "") for name, run in ended.items()}
    assert {name: error for name, error in errors.items() if poison[name][1] not in error} == {}
    assert pulse.worst < HEALTH_SECONDS
    assert program.end(15, END_SECONDS) == 0


def test_runs_of_poisonous_texts_end_with_their_reason(program: Program) -> None:
    _end_with_reason(program, POISON)


@pytest.mark.full  # a minute of a core
def test_runs_of_programs_without_end_end_with_their_reason(program: Program) -> None:
    _end_with_reason(program, LONG_POISON)


@pytest.mark.parametrize("expression", ["(a+)+$", "(.*a){12}b", ".{900}b"])
def test_a_search_through_a_large_log_delays_no_other_answer(program: Program, expression: str) -> None:
    api = program.api
    run_id = api.start(step(script=f"head -c {8 * SIZE} /dev/zero | tr '\\0' a | fold -w 999"))
    assert api.ended(run_id)["statusLabel"] == "succeeded"
    path = f"/dag-runs/flow/{run_id}/log/search"
    worst: list[float] = []
    while len(worst) < ATTEMPTS and (not worst or worst[-1] > HEALTH_SECONDS):
        with Pulse(api.client) as pulse:
            answer = api.client.get(path, params={"q": expression, "regex": "true"})
        assert answer.status_code in (200, 400), answer.text
        worst.append(pulse.worst)
    assert min(worst) < HEALTH_SECONDS


def test_a_server_with_poison_can_be_ended_and_started_again(program: Program) -> None:
    spec = LONG_POISON["jq-without-end"][0]
    run_id = program.api.start(spec)

    def is_running() -> bool:
        return bool(node(program.api.run(run_id), "a")["statusLabel"] == "running")

    wait_for("the program", is_running)
    assert program.end(15, END_SECONDS) == 0
    program.start()
    program.api.stop(run_id)
    assert program.api.ended(run_id, seconds=RUN_SECONDS)["statusLabel"] == "aborted"
