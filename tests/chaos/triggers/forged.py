"""Strangers flood the hooks of a server with forged requests, and a sender beside them signs its own (FB7)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.chaos.experiment import Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers import inbox
from tests.chaos.triggers.inbox import PUSH
from tests.chaos.triggers.senders import GITHUB, Event, Senders, add_hook, addresses_of
from tests.process import processes
from tests.process.program import ROOT
from tests.process.server import Server

_MOST_BYTES = 64 * 2**20
_SHARE = 0.95
_WARM_EVENTS = 20
_REFUSED = {"401", "429", "503"}  # 503: the bodies of strangers have their own share of the memory


class ForgedPlan(NamedTuple):
    """Forged requests and valid events each second, and for how long; the most seconds of valid answers."""

    seconds: float
    rate: int
    events_per_second: float
    seed: int
    most_seconds: float = 1.0  # of 95 % of the answers to the sender, and of /health


class ForgedExperiment:
    def __init__(self, sandbox: Sandbox, plan: ForgedPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._server = Server(sandbox.directory / "home", sandbox.url)
        self._witness = Witness(sandbox.directory / "witness")
        self._senders = Senders(plan.seed)
        self._progress = Progress(show)
        self._answers: Counter[str] = Counter()
        self._health: list[float] = []
        self._more: list[float] = []

    def run(self) -> list[str]:
        try:
            with self._senders:
                return list(self._run(self._server.start()))
        finally:
            self._server.clear()

    def figures(self) -> Figures:
        counts = self._senders.counts() | {
            "forged requests": self._answers.total(),
            **{f"forged requests, answered {status}": count for status, count in sorted(self._answers.items())},
        }
        samples = {
            "seconds of an answer to the sender": self._senders.seconds,
            "seconds of an answer of /health": self._health,
            "MiB more": self._more,
        }
        return Figures(counts, samples)

    def _run(self, server: Server) -> Iterator[str]:
        inbox.store_dags(server.api, self._witness.path)
        self._senders.hooks = {PUSH: add_hook(server.api, PUSH, PUSH, GITHUB)}
        self._senders.addresses = addresses_of([server.api])
        self._send("warm", _WARM_EVENTS, 1)
        self._senders.finish()
        inbox.wait_until_settled(server.database_url)
        self._senders.seconds.clear()
        before = processes.resident_bytes(server.pid)
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")  # the peak of its memory begins anew
        self._flood(server)
        self._more.append(round((processes.peak_bytes(server.pid) - before) / 2**20, 1))
        if self._more[0] > _MOST_BYTES / 2**20:
            yield f"the server has needed {self._more[0]} MiB more"
        for status in self._answers.keys() - _REFUSED:
            yield f"{self._answers[status]} forged requests were answered {status}"
        for name, seconds in (("the sender", self._senders.seconds), ("/health", self._health)):
            late = sorted(seconds)[int(len(seconds) * _SHARE)]
            if late > self._plan.most_seconds:
                yield f"95 % of the answers to {name} took up to {late:.2f} s"
        inbox.wait_until_settled(server.database_url)
        yield from inbox.find_violations(server.database_url, self._senders.sent.values(), self._witness)

    def _send(self, name: str, count: int, seconds: float) -> None:
        self._senders.send([Event(PUSH, f"{name}-{number}") for number in range(count)], seconds)

    def _flood(self, server: Server) -> None:
        """Run the flood in a process of its own, with the sender and a look at the health of the server beside it."""
        plan, address = self._plan, httpx.URL(server.api.client.base_url)
        words = [address.host, str(address.port), PUSH, str(plan.rate), str(plan.seconds)]
        self._progress.now(f"{plan.rate} forged requests each second, for {plan.seconds:g} s")
        command = [sys.executable, "-m", "tests.chaos.triggers.flood", *words]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            self._send("valid", round(plan.events_per_second * plan.seconds), plan.seconds)
            while process.poll() is None:
                begin = time.monotonic()
                httpx.get(address.join("health"), timeout=60).raise_for_status()
                self._health.append(time.monotonic() - begin)
                time.sleep(0.5)  # between two samples while the flood lasts
            self._senders.finish()
            self._answers.update(json.loads(process.communicate()[0]))
