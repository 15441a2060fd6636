"""The live feed of real servers: killed, restarted, ended, and two on one database."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.process.program import Program

SPEC = "steps: [{name: a, command: 'true'}]\n"
_WAITS = "steps: [{{name: a, command: 'while [ ! -e {go} ]; do sleep 0.05; done'}}]\n"


class Stream:
    """A client of the feed of one server."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.iter_lines()
        self.id = ""
        self.runs: list[tuple[str, str]] = []

    def next(self) -> dict[str, Any] | None:
        """Read a frame; None for one without data."""
        data = None
        while line := next(self._lines):
            name, _, value = line.partition(": ")
            if name == "id":
                self.id = value
            if name == "data":
                data = json.loads(value)
        return data

    def until(self, run_id: str, status: str) -> None:
        """Read until a run has come to a status."""
        while (run_id, status) not in self.runs:
            data = self.next() or {}
            if "dagRunId" in data:
                self.runs.append((data["dagRunId"], data["statusLabel"]))

    def ends(self) -> bool:
        """Read to the end of the answer."""
        try:
            while True:
                self.next()
        except StopIteration:
            return True


@contextmanager
def stream(program: Program, after: str = "") -> Iterator[Stream]:
    """Open a stream and read that it is ready."""
    headers = {"Last-Event-ID": after} if after else {}
    with httpx.stream("GET", f"{program.api.client.base_url}events", headers=headers, timeout=60) as answer:
        assert answer.status_code == httpx.codes.OK
        opened = Stream(answer)
        assert opened.next() == {"after": opened.id}
        yield opened


def test_a_server_that_is_told_to_end_ends_its_streams_first(program: Program) -> None:
    with stream(program) as one, stream(program) as other:
        program.send(signal.SIGTERM)
        assert one.ends()
        assert other.ends()
        assert program.terminate() == 0
    assert "exceeded" not in program.log_text()  # the web server would have waited, and then broken them off


def test_what_happened_around_a_crash_is_told_by_the_next_server(program: Program, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with stream(program) as before:
        program.api.start(_WAITS.format(go=go), run_id="r1")
        before.until("r1", "running")
    program.kill()
    program.start()
    go.touch()
    program.api.ended("r1")
    program.api.start(SPEC, run_id="r2")
    with stream(program, before.id) as after:
        after.until("r2", "succeeded")
    assert ("r1", "succeeded") in after.runs
    assert ("r2", "running") in after.runs


def test_a_client_of_a_killed_server_goes_on_at_another_one(pair: tuple[Program, Program], tmp_path: Path) -> None:
    first, second = pair
    go = tmp_path / "go"
    with stream(first) as before, stream(second) as other:
        first.api.start(_WAITS.format(go=go), run_id="r1")
        before.until("r1", "running")
        other.until("r1", "running")
        first.kill()
        go.touch()
        second.api.start(SPEC, run_id="r2", name="other")
        with stream(second, before.id) as after:
            after.until("r1", "succeeded")
            after.until("r2", "succeeded")
        other.until("r1", "succeeded")
        other.until("r2", "succeeded")
    assert sorted(set(after.runs) | set(before.runs)) == sorted(set(other.runs))
