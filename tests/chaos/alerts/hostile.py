"""Receivers that fail, hang, redirect, drip, flood, or have a certificate that nothing trusts, in turn (FA4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from typing import NamedTuple

import httpx

from tests.certificates import make_certificate
from tests.chaos.alerts.receiver import ELSEWHERE, Receiver, Reply
from tests.chaos.alerts.told import CHAT, FAILS, HOOK, SUCCEEDS, add_channel, add_rule
from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants, processes
from tests.process.server import Server

REPLIES = (Reply.ERROR, Reply.HANG, Reply.REDIRECT, Reply.HUGE, Reply.DRIP)
_MOST_BYTES = 10 * 2**20
_MOST_SECONDS = 1.0  # of an answer of /health
_CLIENTS = 2
_FAILURES_SECONDS = 0.5  # from one to the next


class HostilePlan(NamedTuple):
    """How long each kind of receiver is tried; as long before it no rule is enabled."""

    seconds: float
    most_seconds: float = _MOST_SECONDS  # of an answer of /health
    replies: tuple[Reply, ...] = REPLIES


class HostileExperiment:
    """Clients let runs succeed one after the other; beside them two fail in a second, each of a DAG of its own."""

    def __init__(self, sandbox: Sandbox, plan: HostilePlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._sandbox = sandbox
        self._plan = plan
        self._receiver = Receiver()
        self._secure = Receiver(tls=make_certificate(sandbox.directory)[0])
        self._progress = Progress(show)
        self._rates: dict[str, list[float]] = {"without": [], "with": []}
        self._health: list[float] = []
        self._bytes: dict[str, list[int]] = {"without": [], "with": []}
        self._numbers = count()

    def run(self) -> list[str]:
        server = Server(self._sandbox.directory / "home", self._sandbox.url)
        try:
            with self._receiver, self._secure:
                return list(self._run(server.start()))
        finally:
            server.clear()

    def figures(self) -> Figures:
        counts = {"runs that failed": next(self._numbers), "requests to receivers": len(self._receiver.requests)}
        samples: dict[str, list[float]] = {f"runs/s {name} alerts": rates for name, rates in self._rates.items()}
        samples["seconds of an answer of /health"] = self._health
        samples["MiB more"] = [round(most / 2**20, 2) for most in self._growth()]
        return Figures(counts, samples)

    def _growth(self) -> list[int]:
        """Return how much larger the server was after each time with alerts than after the one before it."""
        return [after - before for before, after in zip(*self._bytes.values(), strict=False)]

    def _run(self, server: Server) -> Iterator[str]:
        for receiver, name in ((self._receiver, HOOK), (self._receiver, CHAT), (self._secure, f"{HOOK}-tls")):
            add_channel(server.api, name, receiver.url(f"/{name}"), intervalSeconds=0)
        add_rule(server.api, HOOK, CHAT, f"{HOOK}-tls")
        self._measure(server, "warm")
        for reply in self._plan.replies:
            for name in (HOOK, CHAT):
                self._receiver.reply(f"/{name}", reply)
            for phase in ("without", "with"):
                self._enable(server, is_enabled=phase == "with")
                self._progress.now(f"{reply.value}, {phase} alerts")
                self._measure(server, phase)
        most = max(self._growth())
        if most > _MOST_BYTES:
            yield f"the server is {most / 2**20:.1f} MiB larger with alerts"
        if max(self._health) > self._plan.most_seconds:
            yield f"/health answered after {max(self._health):.1f} s"
        if self._receiver.of(ELSEWHERE):
            yield "a redirect was followed"
        if not self._receiver.requests:
            yield "no receiver was asked: the experiment has shown nothing"
        yield from invariants.find_violations(server.database_url)

    def _enable(self, server: Server, *, is_enabled: bool) -> None:
        rule = server.api.client.get("/alert-rules/all").raise_for_status().json()
        names = ("match", "on", "to", "remindSeconds")
        body = {name: rule[name] for name in names} | {"enabled": is_enabled}
        server.api.client.put("/alert-rules/all", json=body).raise_for_status()

    def _measure(self, server: Server, phase: str) -> None:
        end = time.monotonic() + self._plan.seconds

        def work() -> int:
            done = 0
            while time.monotonic() < end:
                server.api.ended(server.api.start(SUCCEEDS, name="works"), name="works")
                done += 1
            return done

        def fail() -> None:
            server.api.start(FAILS, name=f"dag-{next(self._numbers)}")

        looking = self._repeatedly(lambda: self._look(server), _FAILURES_SECONDS)
        with looking, self._repeatedly(fail, _FAILURES_SECONDS), ThreadPoolExecutor(_CLIENTS) as threads:
            done = sum(future.result() for future in [threads.submit(work) for _ in range(_CLIENTS)])
        if phase in self._rates:
            self._rates[phase].append(done / self._plan.seconds)
            self._bytes[phase].append(processes.resident_bytes(server.pid))

    @contextmanager
    def _repeatedly(self, work: Callable[[], None], seconds: float) -> Iterator[None]:
        """Do something every so many seconds in another thread."""
        over = threading.Event()

        def repeat() -> None:
            while not over.wait(seconds):
                work()

        with ThreadPoolExecutor(1) as thread:
            repeating = thread.submit(repeat)
            try:
                yield
            finally:
                over.set()
            repeating.result()

    def _look(self, server: Server) -> None:
        begin = time.monotonic()
        httpx.get(f"{server.api.client.base_url}health", timeout=60).raise_for_status()
        self._health.append(time.monotonic() - begin)
