"""Kills for several servers and workers on one PostgreSQL database, of which one is ended at a time (promise R2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from app.torture.killing import Flow, Killing, Size
from app.torture.server import Server, Worker, make_servers
from app.torture.trial import Ground

_LABEL = "torture=yes"
_SELECTOR = 'workerSelector: {torture: "yes"}\n'
_ORDERLY = 4  # every so many ends one is asked to end instead, as in a rolling restart


class Crowd(NamedTuple):
    """How many of each."""

    servers: int
    workers: int


class CrowdKilling(Killing):
    """Many on one database and one machine.

    With workers, every other run asks for one, and of the others every other calls a DAG that does.
    """

    def __init__(self, ground: Ground, size: Size, crowd: Crowd, tell: Callable[[str], None] = lambda _: None) -> None:
        super().__init__(ground, size, tell)
        home = ground.directory / "home"
        self.servers = make_servers(ground, crowd.servers)
        self.workers = [
            Worker(home, ground.url, [f"--label={_LABEL}"], log=ground.directory / f"worker-{number}.log")
            for number in range(crowd.workers)
        ]
        self.server = self.servers[0]
        self.ends = [0, 0]  # of servers and of workers

    def run(self) -> list[str]:
        """End one and start it again as often as wanted; returns what is wrong in the end. Raises TortureError."""
        try:
            for server in self._all():
                server.start()
            for life in range(self.size.kills):
                self._live(life)
                self._tell(life)
            self._post_all()
            return [*self._wait(), *self._look()]
        finally:
            for server in self._all():
                server.clear()

    def figures(self) -> Mapping[str, str]:
        """Give what was counted and measured."""
        servers, workers = self.ends
        return {**super().figures(), "kills": f"{servers} of servers, {workers} of workers; every fourth in order"}

    def _all(self) -> list[Server]:
        return [*self.servers, *self.workers]

    def _choose(self) -> Server:
        return self._luck.choice(self.servers)

    def _spec(self, flow: Flow) -> str:
        spec = super()._spec(flow)
        number = int(flow.run_id.rpartition("-")[2])
        if not self.workers:
            return spec
        match number % 4:
            case 1:
                return spec
            case 3:
                return spec.replace("---\n", f"---\n{_SELECTOR}")
            case _:
                return _SELECTOR + spec

    def _live(self, life: int) -> None:
        share = -(-len(self._waiting) // (self.size.kills - life))
        span = self._luck.uniform(0.05, self.size.longest_life)
        posted, self._waiting = self._waiting[:share], self._waiting[share:]
        victim = self._luck.choice(self._all())
        end = time.monotonic() + span
        with ThreadPoolExecutor(max(share, 1)) as threads:
            answers = [(flow, threads.submit(self._post, flow, self._luck.uniform(0, span))) for flow in posted]
            time.sleep(max(end - time.monotonic(), 0))
            self._end(victim, orderly=life % _ORDERLY == _ORDERLY - 1)
            self._waiting += [flow for flow, answer in answers if not self._note(flow, answer)]
        victim.kill()
        begin = time.monotonic()
        victim.start()
        self.restarts.append(time.monotonic() - begin)

    def _end(self, victim: Server, *, orderly: bool) -> None:
        self.ends[victim in self.workers] += 1
        if orderly:
            victim.leave()
            return
        victim.crash()
        self.hit += len(self._steps_alive())

    def _look(self) -> list[str]:
        found = [f"unmasked in what {one.output.name} holds" for one in self._all() if self._secret in one.told()]
        for server in self._all()[1:]:
            server.terminate()
        return [*super()._look(), *found]
