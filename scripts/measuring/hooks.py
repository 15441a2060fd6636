"""Measure a hook at a steady rate on SQLite, and what that costs others who start runs.

    python -m scripts.measuring.hooks steady --result FILE

Starts of another DAG are timed without events and then beside them. The queue of the events is paused, so that each is
a queued run at the end. Times are those of a client: from when a request was to be sent, however late the client is.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import httpx

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.clients import measure_on_sqlite, measuring_options, pace
from tests.chaos.triggers.senders import GITHUB, Event, add_hook
from tests.process.server import Server
from tests.process.waiting import NotInTimeError, wait_for

_RATE, _STARTS_PER_SECOND, _SEEN_EVERY = 50, 2, 50
_SECONDS, _QUICK_SECONDS = 300.0, 4.0
_SPEC = "params: {EVENT: none}\nmaxActiveRuns: 1000\nsteps: [{name: a, command: 'true'}]\n"
_HOOKED, _OTHER = "hooked", "other"
_SETTLE_SECONDS = 120


class _Scene:
    """A server on SQLite with a hook whose runs stay queued, and a DAG that others start."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._client = server.api.client
        self._seconds = seconds
        self._events = round(_RATE * seconds)
        self.failures: list[str] = []
        for name in (_HOOKED, _OTHER):
            server.api.store(name, _SPEC)
        self._client.post(f"/queues/{_HOOKED}/pause").raise_for_status()
        limits = {"perMinute": 6_000, "maxWaiting": 100_000}
        self._hook = add_hook(server.api, _HOOKED, _HOOKED, GITHUB, **limits)

    def measure(self) -> dict[str, list[float]]:
        """Return samples by the name of what was measured."""
        alone = self._start_others()
        with ThreadPoolExecutor(2) as pool:
            seen = pool.submit(self._see)
            beside = pool.submit(self._start_others)
            answers = pace(self._events, _RATE, self._send, threads=16)
            found = {"hook": answers, "queued": seen.result(), "start_alone": alone, "start_beside": beside.result()}
        self._check()
        return found

    def _send(self, number: int) -> None:
        body = Event(_HOOKED, f"event-{number}").body
        answer = self._client.post(f"/hooks/{_HOOKED}", content=body, headers=self._hook.headers("", body))
        self._expect(answer, httpx.codes.ACCEPTED)

    def _see(self) -> list[float]:
        """Send an event each second and ask for its run until it is there; returns the times from its answer, in ms."""
        found: list[float] = []

        def send(number: int) -> None:
            body = Event(_HOOKED, f"seen-{number}").body
            answer = self._client.post(f"/hooks/{_HOOKED}", content=body, headers=self._hook.headers("", body))
            run, begin = f"/dag-runs/{_HOOKED}/{answer.json()['dagRunId']}", time.monotonic()
            wait_for("the run", lambda: self._client.get(run).is_success, seconds=_SETTLE_SECONDS)
            found.append((time.monotonic() - begin) * 1000)

        pace(self._events // _SEEN_EVERY, _RATE / _SEEN_EVERY, send, threads=4)
        return found

    def _start_others(self) -> list[float]:
        def start(_: int) -> None:
            self._expect(self._client.post(f"/dags/{_OTHER}/start", json={}), httpx.codes.OK)

        return pace(round(self._seconds * _STARTS_PER_SECOND), _STARTS_PER_SECOND, start, threads=4)

    def _expect(self, answer: httpx.Response, status: httpx.codes) -> None:
        if answer.status_code != status:
            self.failures.append(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")

    def _check(self) -> None:
        """Note a failure unless each event is a queued run in the end."""

        def settled() -> bool:
            return bool(self._client.get(f"/triggers/{_HOOKED}").raise_for_status().json()["waiting"] == 0)

        try:
            wait_for("the last event", settled, seconds=_SETTLE_SECONDS)
        except NotInTimeError as error:
            self.failures.append(str(error))
        items = self._client.get(f"/queues/{_HOOKED}/items").raise_for_status().json()
        queued = items["pagination"]["totalRecords"]
        if queued != (events := self._events + self._events // _SEEN_EVERY):
            self.failures.append(f"{queued} runs are queued, of {events} events")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenario", type=click.Choice(["steady"]))
@measuring_options
def hooks(scenario: str, number: int, result: Path, *, quick: bool) -> None:
    """Measure one round."""
    del number

    def measure(server: Server) -> tuple[dict[str, list[float]], list[str]]:
        scene = _Scene(server, _QUICK_SECONDS if quick else _SECONDS)
        return scene.measure(), scene.failures

    measure_on_sqlite(("hooks", scenario, __spec__.name), result, measure)


if __name__ == "__main__":
    give_children_default_signals()
    hooks(prog_name="python -m scripts.measuring.hooks")
