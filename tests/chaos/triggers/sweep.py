"""A fault at every commit from a request to the end of the run that follows its run (FB1).

Each point sends two events, one after the other: of the first there is a run, which another DAG follows, and the other
one is dead. The sender repeats each until it is answered, and sends it once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.chaos.experiment import Figures
from tests.chaos.sandbox import Sandbox
from tests.chaos.sweep import StubbornClient, SweepExperiment
from tests.chaos.triggers import inbox, senders
from tests.chaos.triggers.inbox import PUSH, REPORT
from tests.chaos.triggers.senders import DEAD, STARTED, TOKEN, Event, Hook, Sent, add_hook
from tests.process.server import FINAL, Server
from tests.process.waiting import NotInTimeError, wait_for

_POINT_SECONDS = 120
_MOST_SECONDS = 60  # from the start of the server until both events are settled
_ANSWERS = 2


class TriggerSweepExperiment(SweepExperiment):
    def __init__(
        self, sandbox: Sandbox, *, every: int = 1, first: int = 1, show: Callable[[str], None] = lambda _: None
    ) -> None:
        super().__init__(sandbox, every=every, first=first, show=show)
        self._hook = Hook("", "", "")
        self._sent: list[Sent] = []
        self._settling: list[float] = []

    def run(self) -> list[str]:
        found = super().run()
        return [*found, *inbox.find_violations(self._server.database_url, self._sent, self._witness)]

    def figures(self) -> Figures:
        counts = {name: count for name, count in super().figures().counts.items() if name != "executions"}
        counts |= senders.count(self._sent)
        return Figures(counts, {"seconds until nothing waits, from the last start of the server": self._settling})

    def _prepare(self) -> None:
        inbox.store_dags(self._server.api, self._witness.path)
        self._hook = add_hook(self._server.api, PUSH, PUSH, TOKEN)
        follower = {"name": REPORT, "dag": REPORT, "kind": "after", "settings": {"after": PUSH}}
        self._server.api.client.post("/triggers", json=follower).raise_for_status()

    def _drive(self, run_id: str) -> Iterator[str]:
        sent = [Sent(Event(PUSH, f"{kind}-{run_id}", kind)) for kind in (STARTED, DEAD)]
        client = _Sender(self._server, self._hook, sent)
        try:
            wait_for(f"what becomes of {run_id}", client.look, seconds=_POINT_SECONDS)
        except NotInTimeError:
            yield f"stuck: {client.label or 'not answered'}"
            return
        finally:
            self._sent += client.sent
            self._deaths += client.deaths
            self._repeated += client.repeated
        self._settling.append(time.monotonic() - client.since)
        if self._settling[-1] > _MOST_SECONDS:
            yield f"the events waited for {self._settling[-1]:.0f} s"


class _Sender(StubbornClient):
    """A sender of events, which waits for what becomes of each before it sends the next."""

    def __init__(self, server: Server, hook: Hook, sent: list[Sent]) -> None:
        super().__init__(server)
        self.since = time.monotonic()  # the last start of the server
        self.sent = list(sent)  # and what follows their runs
        self._hook = hook
        self._left = list(sent)

    def _ask(self) -> str | None:
        sent, client = self._left[0], self._server.api.client
        if sent.event.hook == PUSH and sent.accepted + sent.repeated < _ANSWERS and not sent.refusal:
            headers = self._hook.headers(sent.event.name, sent.event.body)
            sent.lost += 1  # until there is an answer
            answer = client.post(f"/hooks/{self._hook.name}", content=sent.event.body, headers=headers)
            sent.lost -= 1
            self.repeated += not sent.take(answer)
            return None
        self.label = self._find_state(sent)
        if self.label not in {*FINAL, DEAD, sent.refusal}:
            return None
        self._left.pop(0)
        if sent.event.hook == PUSH and self.label in FINAL:
            followed = Sent(Event(REPORT, next(iter(sent.ids))))
            self.sent.append(followed)
            self._left.insert(0, followed)
        return None if self._left else "settled"

    def _find_state(self, sent: Sent) -> str:
        """Return the state of an event, or of its run."""
        if sent.event.hook == REPORT:
            found = self._read("/triggers/report/events").get("events", [])
            sent.ids = {each["id"] for each in found if each["item"]["dagRunId"] == sent.event.name}
            sent.accepted = 1  # it is not sent
        if not sent.ids:
            return sent.refusal or "not there"
        id_ = next(iter(sent.ids))
        state = self._read(f"/triggers/{sent.event.hook}/events/{id_}").get("state", "not read")
        if state == STARTED:
            run = self._read(f"/dag-runs/{sent.event.hook}/{id_}")
            state = run["dagRunDetails"]["statusLabel"] if run else state
        return str(state)

    def _read(self, path: str) -> dict[str, Any]:
        """Return what is answered, or nothing if the database is away."""
        answer = self._server.api.client.get(path)
        self.repeated += answer.is_error
        return answer.json() if answer.is_success else {}

    def look(self) -> str | None:
        deaths = self.deaths
        found = super().look()
        if self.deaths > deaths:
            self.since = time.monotonic()
        return found
