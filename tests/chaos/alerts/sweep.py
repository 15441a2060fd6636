"""A fault at every commit from a failure to the receipts of its end (FA1).

Each point is a DAG of its own: a run fails, its alert is routed and sent to a webhook and a chat, a run succeeds, and
the end of the alert is sent, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import httpx

from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import CHAT, FAILS, HOOK, SUCCEEDS, Told, add_channel, add_rule, read_rows
from tests.chaos.experiment import Figures
from tests.chaos.sandbox import Sandbox
from tests.chaos.sweep import StubbornClient, SweepExperiment
from tests.process.server import Server
from tests.process.waiting import NotInTimeError, wait_for

_POINT_SECONDS = 120
_MOST_SECONDS = 60  # from the start of the server until nothing waits


class AlertSweepExperiment(SweepExperiment):
    def __init__(
        self, sandbox: Sandbox, *, every: int = 1, first: int = 1, show: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(sandbox, every=every, first=first, show=show)
        self._receiver = Receiver()
        self._told: Told | None = None
        self._settling: list[float] = []

    def run(self) -> list[str]:
        with self._receiver:
            found = super().run()
        return [*found, *self._result().find_violations()]

    def _result(self) -> Told:
        if self._told is None:
            self._told = Told(read_rows(self._server.database_url), self._receiver.requests)
        return self._told

    def figures(self) -> Figures:
        counts = {name: count for name, count in super().figures().counts.items() if name != "executions"}
        counts |= {"requests to receivers": len(self._receiver.requests)}
        counts |= {"messages that a receiver got twice": self._result().repeats}
        return Figures(counts, {"seconds until nothing waits, from the last start of the server": self._settling})

    def _prepare(self) -> None:
        api = self._server.api
        for name in (HOOK, CHAT):
            add_channel(api, name, self._receiver.url(f"/{name}"), intervalSeconds=0)
        add_rule(api, HOOK, CHAT)

    def _drive(self, run_id: str) -> Iterator[str]:
        before = len(self._receiver.requests)
        client = _AlertClient(self._server, run_id)
        try:
            wait_for(f"all messages about {run_id}", client.look, seconds=_POINT_SECONDS)
        except NotInTimeError:
            yield f"stuck: {client.label}"
            return
        finally:
            self._deaths += client.deaths
            self._repeated += client.repeated
        self._settling.append(time.monotonic() - client.since)
        if self._settling[-1] > _MOST_SECONDS:
            yield f"messages waited for {self._settling[-1]:.0f} s"
        for name in (HOOK, CHAT):
            count = sum(request.path == f"/{name}" for request in self._receiver.requests[before:])
            if not 2 <= count <= 3:  # its beginning, its end, and at most one of them again
                yield f"{name} got {count} messages about one alert and its end"


class _AlertClient(StubbornClient):
    """A client that lets a DAG fail and then succeed, and waits for the receipts of both."""

    def __init__(self, server: Server, dag: str) -> None:
        super().__init__(server)
        self.since = time.monotonic()  # the last start of the server
        self._dag = dag
        self._left = [("fails", FAILS, 2), ("succeeds", SUCCEEDS, 4)]  # with the receipts that it waits for
        self._is_started = False

    def _ask(self) -> str | None:
        run, spec, wanted = self._left[0]
        if not self._is_started:
            answer = self._server.api.post_run(spec, name=self._dag, run_id=run)
            self._is_started = self._is_done(answer, "already_exists")
            return None
        answer = self._server.api.client.get(f"/dag-runs/{self._dag}/fails/alerts")
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            self.repeated += 1
            return None
        states = [each["status"] for each in answer.raise_for_status().json()["receipts"]]
        self.label = f"{run}: {', '.join(states) or 'no message'}"
        if len(states) < wanted or set(states) != {"sent"}:
            return None
        self._left.pop(0)
        self._is_started = False
        return None if self._left else "told"

    def look(self) -> str | None:
        deaths = self.deaths
        found = super().look()
        if self.deaths > deaths:
            self.since = time.monotonic()
        return found
