"""Texts that never end or explode: the server answers, the run ends with the reason, the server can be ended (S14)."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest

from tests.process.load import measure_share
from tests.process.poison import DIRECTORY, LONG_RUNS, RUNS, SIZE, STUCK, Poison, fill
from tests.process.program import Program
from tests.process.waiting import wait_for

# What becomes of texts has nothing to do with the database.
pytestmark = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)

HEALTH_SECONDS, LONG_TEXT_SECONDS = 1.0, 0.3
RUN_SECONDS, END_SECONDS = 45.0, 20.0
ATTEMPTS = 3  # a busy machine delays answers as well; a server that does not answer is late each time


class Pulse:
    """Asks for ``/health`` over one connection all the time, and keeps the longest wait for an answer.

    The wait is that of an idle machine: a server that gets a quarter of a core answers four times as late.
    """

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
        self.worst *= measure_share()

    def _beat(self) -> None:
        while not self._stopped.wait(0.01):
            begun = time.monotonic()
            self._socket.sendall(self._head)
            if not self._socket.recv(65536).startswith(b"HTTP/1.1 200"):
                self.worst = float("inf")
            self.worst = max(self.worst, time.monotonic() - begun)
            self._asked.set()


LONG_TEXTS = {
    "schedules": fill("schedule:\n", '- "* * * * *"\n'),
    "documents": "".join(f"---\nname: a{number}\nsteps: [a]\n" for number in range(30_000)),
    "problems": fill("", "---\na: 1\n"),
    "steps": "steps:\n" + "".join(f"- {{name: s{number}, command: a, env: [A=b, C=d]}}\n" for number in range(5_000)),
    "words": fill("steps: [{command: '", "a ", "'}]"),
    "params": fill("params: '", "a=b ", "'"),
    "values": fill("steps:\n", "- a\n"),
    "brackets": fill("", "["),
    "deep-maps": fill("", "{a: "),
    "indented-maps": "".join(f"{' ' * depth}a:\n" for depth in range(1_400)),
    "scalar": fill("description: ", "a"),
    "lines": fill("description: |\n", "  a\n"),
    "folded": fill("description: >\n", "  a\n\n"),
    "escapes": fill('description: "', "\\u0041", '"'),
    "open-quote": fill("description: '", "''"),
    "digits": fill("maxActiveSteps: ", "9"),
    "unknown-keys": "".join(f"{'a' * 90}{number}: 1\n" for number in range(10_000)),
    "equal-keys": fill("", "name: a\n"),
    "merges": "a: &a {" + ", ".join(f"k{n}: 1" for n in range(90)) + "}\nb:\n  <<: [" + "*a, " * 990 + "]\n",
    "doubling-anchors": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
    "anchors": fill("", "- &a a\n"),
    "tags": fill("", "- !!int 1\n"),
    "comments": fill("", "# \n"),
    "schedule-lists": "schedule: '" + fill("", "0-59,").rstrip(",") + " * * * *'\nsteps: [a]",
    "zones": fill("schedule:\n", '- "CRON_TZ=Europe/Nowhere 1 1 1 1 1"\n'),
    "conditions": fill("preconditions:\n", "- re\n"),
    "references": fill("params: A=b\nsteps: [{command: '", "${A.", "'}]"),
    "quotes": fill("params: P=b\nsteps: [{script: '", '"${P}" $( ', "'}]"),
    "subshells": fill("params: P=b\nsteps: [{script: '", '(:) "${P}" ', "'}]"),
    "types": fill("steps:\n", "- {executor: jp}\n"),
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


def _outcome(program: Program, poison: Poison, directory: Path) -> tuple[str, str]:
    """Start a run and wait for its end; returns its status, or that of the refusal, and all that is said about it."""
    api, spec = program.api, poison.spec.replace(DIRECTORY, str(directory))
    answer = api.client.post("/dag-runs", json={"name": "flow", "spec": spec, "params": poison.params})
    if not answer.is_success:
        return str(answer.status_code), answer.json()["message"]
    run_id = answer.json()["dagRunId"]
    run = api.ended(run_id, seconds=RUN_SECONDS)
    log = api.client.get(f"/dag-runs/flow/{run_id}/log").json()["content"]
    return run["statusLabel"], f"{[node.get('error') for node in run['nodes']]}\n{run.get('preconditions')}\n{log}"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full) if name in LONG_RUNS else name for name in RUNS]
)
def test_a_poisonous_text_ends_with_its_reason_and_delays_no_other_answer(
    program: Program, tmp_path: Path, name: str
) -> None:
    poison = RUNS[name]
    for file, text in poison.files.items():
        (tmp_path / file).write_text(text)
    worst: list[float] = []
    while len(worst) < ATTEMPTS and (not worst or worst[-1] > HEALTH_SECONDS):
        with Pulse(program.api.client) as pulse:
            end, said = _outcome(program, poison, tmp_path)
        assert (end, poison.reason in said) == (poison.end, True), said[:2000]
        worst.append(pulse.worst)
    assert min(worst) < HEALTH_SECONDS
    assert program.end(15, END_SECONDS) == 0


@pytest.mark.parametrize("expression", ["(a+)+$", "(.*a){12}b", ".{900}b"])
def test_a_search_through_a_large_log_delays_no_other_answer(program: Program, expression: str) -> None:
    api = program.api
    command = f"head -c {8 * SIZE} /dev/zero | tr '\\0' a | fold -w 999"
    run_id = api.start(json.dumps({"steps": [{"command": command}]}))
    assert api.ended(run_id)["statusLabel"] == "succeeded"
    path = f"/dag-runs/flow/{run_id}/log/search"
    worst: list[float] = []
    while len(worst) < ATTEMPTS and (not worst or worst[-1] > HEALTH_SECONDS):
        with Pulse(api.client) as pulse:
            answer = api.client.get(path, params={"q": expression, "regex": "true"})
        assert answer.status_code in (200, 400), answer.text
        worst.append(pulse.worst)
    assert min(worst) < HEALTH_SECONDS


MINUTES = ",".join(map(str, range(60)))
SCHEDULED = {
    "never": [
        f"CRON_TZ=Europe/Berlin {number % 60} {number % 24} {day} 2 *" for number in range(490) for day in (30, 31)
    ],
    "lists": [f"{MINUTES} {number % 24} * * {number % 7}" for number in range(900)],
}


@pytest.mark.parametrize("name", SCHEDULED)
@pytest.mark.parametrize(
    "path",
    ["/dags/{name}/schedule/next?count=100", "/schedules/upcoming?limit=1000", "/dags?sort=nextRun", "/dags/{name}"],
)
def test_a_list_of_what_is_due_delays_no_other_answer(program: Program, name: str, path: str) -> None:
    program.api.store(name, json.dumps({"schedule": SCHEDULED[name], "steps": ["true"]}))
    assert _late(program.api.client, lambda: program.api.client.get(path.format(name=name))) == ""


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|a)*b", "(.*a){12}b", ".{900}b", "((a{9}){9}){9}", "(?i)(é|É)*ß"])
def test_a_search_in_long_definitions_delays_no_other_answer(program: Program, expression: str) -> None:
    for number in range(4):
        program.api.store(f"long{number}", f"steps: [a]\ndescription: {'a' * (SIZE - 100)}")
    client = program.api.client
    assert _late(client, lambda: client.get("/dags/search", params={"q": expression})) == ""


@pytest.mark.parametrize("name", STUCK)
def test_a_server_with_poison_can_be_ended_and_started_again(program: Program, tmp_path: Path, name: str) -> None:
    run_id = program.api.start(STUCK[name].replace(DIRECTORY, str(tmp_path)))
    wait_for("its start", lambda: program.api.run(run_id)["statusLabel"] == "running")
    assert program.end(15, END_SECONDS) == 0
    program.start()
    program.api.stop(run_id)
    assert program.api.ended(run_id, seconds=RUN_SECONDS)
