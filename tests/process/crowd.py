"""The torture for several servers and workers on one PostgreSQL database, of which one is ended at a time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.process import conftest
from tests.process.program import Program
from tests.process.torture import Flow, Size, Torture
from tests.process.workers import WorkerProgram

_LABEL = "torture=yes"
_SELECTOR = 'workerSelector: {torture: "yes"}\n'
_ORDERLY = 4  # every so many ends one is asked to end instead, as in a rolling restart


class Crowd(NamedTuple):
    """How many of each."""

    servers: int
    workers: int


class CrowdTorture(Torture):
    """One torture of one database by many, on one machine.

    With workers, every other run asks for one, and of the others every other calls a DAG that does.
    """

    def __init__(self, directory: Path, database_url: str, size: Size, crowd: Crowd) -> None:
        super().__init__(directory, database_url, size)
        home = directory / "home"
        self.servers = [Program(home, database_url, log=directory / f"server-{n}.log") for n in range(crowd.servers)]
        self.workers = [
            WorkerProgram(home, database_url, [f"--label={_LABEL}"], log=directory / f"worker-{n}.log")
            for n in range(crowd.workers)
        ]
        self.program = self.servers[0]
        self.ends = [0, 0]  # of servers and of workers

    def run(self) -> list[str]:
        """End one and start it again as often as wanted; returns what is wrong in the end."""
        try:
            for program in self._all():
                program.start()
            for life in range(self.size.kills):
                self._live(life)
            self._post_all()
            return [*self._wait(), *self._look()]
        finally:
            for program in self._all():
                conftest.end(program)

    def _all(self) -> list[Program]:
        return [*self.servers, *self.workers]

    def _server(self) -> Program:
        return self._luck.choice(self.servers)

    def _spec(self, flow: Flow) -> str:
        spec = super()._spec(flow)
        number = int(flow.run_id.rpartition("-")[2])
        if not self.workers or number % 4 == 1:
            return spec
        return spec.replace("---\n", f"---\n{_SELECTOR}") if number % 4 == 3 else _SELECTOR + spec

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

    def _end(self, victim: Program, *, orderly: bool) -> None:
        self.ends[victim in self.workers] += 1
        if orderly:
            victim.leave()
            return
        victim.crash()
        self.hit += len(self._steps_alive())

    def _look(self) -> list[str]:
        found = [f"unmasked in what {one.output.name} holds" for one in self._all() if self._secret in one.told()]
        for program in self._all()[1:]:
            program.terminate()
        return [*super()._look(), *found]
