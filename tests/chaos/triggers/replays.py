"""Events are replayed dry, each twice on two revisions of their DAG (FB9): the same plan both times, and no row."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import func, select

from dagbook.db.types import Base
from tests.chaos.experiment import Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers import inbox
from tests.chaos.triggers.inbox import PUSH
from tests.chaos.triggers.senders import TOKEN, Event, Senders, Sent, add_hook, addresses_of
from tests.process import store
from tests.process.server import Server

_CLIENTS = 4
_NEXT = "params: {EVENT: none, MORE: 'yes'}\nsteps: [{name: b, command: 'true'}, {name: c, command: 'true'}]\n"
_STEPS = {1: ["a"], 2: ["b", "c"]}  # of each revision
Plan = Mapping[str, Any]


class ReplayExperiment:
    def __init__(self, sandbox: Sandbox, events: int, seed: int, show: Callable[[str], None] = lambda _: None) -> None:
        self._events = events
        self._server = Server(sandbox.directory / "home", sandbox.url)
        self._witness = Witness(sandbox.directory / "witness")
        self._senders = Senders(seed)
        self._progress = Progress(show)
        self._seconds: list[float] = []

    def run(self) -> list[str]:
        try:
            with self._senders:
                return list(self._run(self._server.start()))
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        counts = self._senders.counts() | {"dry replays": len(self._seconds)}
        return Figures(counts, {"seconds of a dry replay": self._seconds})

    def _run(self, server: Server) -> Iterator[str]:
        inbox.store_dags(server.api, self._witness.path)
        self._senders.hooks = {PUSH: add_hook(server.api, PUSH, PUSH, TOKEN)}
        self._senders.addresses = addresses_of([server.api])
        self._senders.send([Event(PUSH, f"event-{number}") for number in range(self._events)])
        self._senders.finish()
        inbox.wait_until_settled(server.database_url)
        server.api.client.put(f"/dags/{PUSH}/spec", json={"spec": _NEXT}).raise_for_status()
        before = _count_rows(server.database_url)
        for revision, steps in _STEPS.items():
            self._progress.now(f"dry replays on revision {revision}")
            first, second = self._replay_all(revision), self._replay_all(revision)
            yield from (
                f"{name} has another plan on revision {revision}" for name in first if first[name] != second[name]
            )
            for name, plan in first.items():
                found = (plan.get("revision"), plan.get("steps"), plan.get("params", {}).get("EVENT"))
                if found != (revision, steps, name):
                    yield f"{name} has this plan on revision {revision}: {plan}"
        added = _count_rows(server.database_url) - before
        added.pop("audit_seals", None)  # the server seals the audit of what was done before
        for table, more in added.items():
            yield f"{table} has {more} rows more"
        yield from inbox.find_violations(server.database_url, self._senders.sent.values(), self._witness)

    def _replay_all(self, revision: int) -> dict[str, Plan]:
        """Return the plan of each event."""

        def replay(sent: Sent) -> tuple[str, Plan]:
            [id_], begin = sent.ids, time.monotonic()
            path = f"/triggers/{PUSH}/events/{id_}/replay"
            answer = self._server.api.client.post(path, json={"revision": revision, "dry": True})
            self._seconds.append(time.monotonic() - begin)
            return sent.event.name, answer.raise_for_status().json().get("plan", {})

        with ThreadPoolExecutor(_CLIENTS) as pool:
            return dict(pool.map(replay, self._senders.sent.values()))


def _count_rows(url: str) -> Counter[str]:
    """Return how many rows each table has."""
    counts = {name: select(func.count()).select_from(table) for name, table in Base.metadata.tables.items()}
    return store.with_retries(
        url,
        lambda database: database.read(
            lambda connection: Counter({name: connection.scalar(count) or 0 for name, count in counts.items()})
        ),
    )
