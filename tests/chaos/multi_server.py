"""Several servers and workers on one PostgreSQL database, of which one at a time is killed (promise R2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.experiment import Figures
from tests.chaos.kill import Flow, KillExperiment, Size
from tests.chaos.sandbox import Sandbox
from tests.process.server import Server, Worker

SELECTOR = 'workerSelector: {chaos: "yes"}\n'
_LABEL = "chaos=yes"
_SHUTDOWN_EVERY = 4  # every fourth one is shut down instead of killed, as in a rolling restart


class ProcessCounts(NamedTuple):
    servers: int
    workers: int


class MultiServerKillExperiment(KillExperiment):
    """Servers and workers on one machine and one database.

    With workers, half of the runs select a worker; half of the others call a DAG that does.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        size: Size,
        counts: ProcessCounts,
        show: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(sandbox, size, show)
        home = sandbox.directory / "home"
        self.servers = sandbox.make_servers(counts.servers)
        self.workers = [
            Worker(home, sandbox.url, [f"--label={_LABEL}"], log=sandbox.directory / f"worker-{number}.log")
            for number in range(counts.workers)
        ]
        self.server = self.servers[0]
        self.kills = [0, 0]  # of servers, of workers
        self.shutdowns = [0, 0]

    def _interfere(self) -> None:
        for server in self._all():
            server.start()
        for life in range(self.size.kills):
            self._live(life)
            self._show_progress(life)

    def figures(self) -> Figures:
        counts, samples = super().figures()
        counts = {name: count for name, count in counts.items() if name != "kills"}
        names = ("servers killed", "workers killed", "servers shut down", "workers shut down")
        return Figures(counts | dict(zip(names, (*self.kills, *self.shutdowns), strict=True)), samples)

    def _all(self) -> list[Server]:
        return [*self.servers, *self.workers]

    def _choose(self) -> Server:
        return self._random.choice(self.servers)

    def _spec(self, flow: Flow) -> str:
        spec = super()._spec(flow)
        number = int(flow.run_id.rpartition("-")[2])
        if not self.workers:
            return spec
        match number % 4:
            case 1:
                return spec
            case 3:
                return spec.replace("---\n", f"---\n{SELECTOR}")
            case _:
                return SELECTOR + spec

    def _live(self, life: int) -> None:
        victim = self._random.choice(self._all())
        with self._posting(life, self._random.uniform(0.05, self.size.longest_life)):
            self._end(victim, gracefully=life % _SHUTDOWN_EVERY == _SHUTDOWN_EVERY - 1)
        victim.kill()
        begin = time.monotonic()
        victim.start()
        self.restarts.append(time.monotonic() - begin)

    def _end(self, victim: Server, *, gracefully: bool) -> None:
        ends = self.shutdowns if gracefully else self.kills
        ends[victim in self.workers] += 1
        if gracefully:
            victim.shutdown()
            return
        victim.crash()
        self.hit += len(self._live_steps())

    def _violations(self) -> list[str]:
        found = [f"unmasked in {one.output.name}" for one in self._all() if self._secret in one.log_text()]
        for server in self._all()[1:]:
            server.terminate()
        return [*super()._violations(), *found]
