"""Servers and workers are killed (FA2), or PostgreSQL is stopped (FA6), while runs fail and succeed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import httpx

from dagbook.engine.status import RunStatus
from tests.chaos.alerts.receiver import Receiver, Reply
from tests.chaos.alerts.told import CHAT, HOOK, Told, add_channel, add_rule, read_rows, wait_until_told
from tests.chaos.experiment import Figures
from tests.chaos.kill import Flow, KillExperiment
from tests.chaos.multi_server import SELECTOR, MultiServerKillExperiment
from tests.chaos.outage import OutageExperiment
from tests.process import invariants, store
from tests.process.server import Server

_RUNS_OF_A_DAG = 4  # it fails, succeeds, fails and succeeds
_LEASED = "SELECT count(*) FROM alert_deliveries WHERE status = 'pending' AND lease_owner IS NOT NULL"
_STEP = "steps: [{{name: a, shell: sh, command: 'sleep 0.3; exit {status}'}}]\n"  # so that a kill meets steps


class _Alerting(KillExperiment):
    """The flows of ``kill``, of which half fail, and two channels; ``_replies`` are those of their receivers."""

    _replies: Sequence[Reply] = (Reply.OK,)
    _receiver: Receiver
    _told: Told | None = None

    def run(self) -> list[str]:
        with Receiver(self.size.seed) as self._receiver:
            return super().run()

    def _interfere(self) -> None:
        super()._interfere()
        for name in (HOOK, CHAT):
            self._receiver.reply(f"/{name}")

    def _live(self, life: int) -> None:
        if life == 0:
            for name in (HOOK, CHAT):
                add_channel(self.server.api, name, self._receiver.url(f"/{name}", *self._replies), intervalSeconds=0)
            add_rule(self.server.api, HOOK, CHAT)
        super()._live(life)

    def figures(self) -> Figures:
        counts, samples = super().figures()
        counts = {name: count for name, count in counts.items() if not name.startswith("steps ")}
        counts |= {
            "requests to receivers": len(self._receiver.requests),
            "messages that a receiver got twice": self._told.repeats if self._told else 0,
        }
        names = ("until all runs had finished", "until all was told")
        return Figures(counts, {name.replace(*names): values for name, values in samples.items()})

    @property
    def _dags(self) -> int:
        return max(self.size.runs // _RUNS_OF_A_DAG, 1)

    def _spec(self, flow: Flow) -> str:
        head = f"maxActiveRuns: 1000\nenv: [{{MARK: {self._mark}}}]\n"
        return head + _STEP.format(status=3 if self._fails(flow) else 0)

    def _fails(self, flow: Flow) -> bool:
        return _number(flow) // self._dags % 2 == 0

    def _post(self, flow: Flow, delay: float) -> httpx.Response:
        api = self._choose().api
        time.sleep(delay)  # starts are spread over the life of the server
        return api.post_run(self._spec(flow), name=f"dag-{_number(flow) % self._dags}", run_id=flow.run_id)

    def _wait(self) -> list[str]:
        begin = time.monotonic()
        wait_until_told(self.server.database_url)
        self.settling.append(time.monotonic() - begin)
        return []

    def _most_repeats(self) -> int:
        return 0

    def _violations(self) -> list[str]:
        self._told = Told(read_rows(self.server.database_url), self._receiver.requests)
        found = [*self._refusals, *self._run_violations(), *self._told.find_violations()]
        if self._told.repeats > self._most_repeats():
            found.append(f"{self._told.repeats} messages were accepted twice, more than {self._most_repeats()}")
        return [*found, *invariants.find_violations(self.server.database_url)]

    def _run_violations(self) -> Iterator[str]:
        rows = store.query(self.server.database_url, "SELECT run_id, status FROM runs")
        status = {row.run_id: RunStatus(row.status) for row in rows}
        yield from (f"lost: {run_id} was answered and is not there" for run_id in self.answered - status.keys())
        for run_id in self.answered & status.keys():
            wanted = RunStatus.FAILED if self._fails(self._flows[run_id]) else RunStatus.SUCCEEDED
            if status[run_id] is not wanted:
                yield f"{run_id} is {status[run_id].label}"


class AlertKillExperiment(_Alerting, MultiServerKillExperiment):
    """Receivers answer with 200, 500, or not at all. With workers, half of the runs select one."""

    _replies = (*(Reply.OK,) * 8, Reply.ERROR, Reply.HANG)
    _sending = 0

    def figures(self) -> Figures:
        counts, samples = super().figures()
        return Figures({**counts, "messages being sent at a kill": self._sending}, samples)

    def _spec(self, flow: Flow) -> str:
        return (SELECTOR if self.workers and _number(flow) % 2 else "") + super()._spec(flow)

    def _end(self, victim: Server, *, gracefully: bool) -> None:
        super()._end(victim, gracefully=gracefully)
        self._sending += store.query(victim.database_url, _LEASED)[0][0]

    def _most_repeats(self) -> int:
        return sum(self.kills)


class AlertOutageExperiment(_Alerting, OutageExperiment):
    """Receivers always work: no message may come twice, since the server that has the answer goes on."""


def _number(flow: Flow) -> int:
    return int(flow.run_id.rpartition("-")[2])
