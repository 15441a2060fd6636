"""Servers of the version before alerts are exchanged for those of this one while runs fail (FA8)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from dagbook.engine.status import RunStatus
from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import FAILS, HOOK, Told, add_channel, add_rule, wait_until_told
from tests.chaos.experiment import ExperimentError, Figures
from tests.chaos.upgrade import Clients, NextServer, OwnerWatch, UpgradeExperiment
from tests.process import invariants, store
from tests.process.program import ROOT
from tests.process.server import Server

_FIRST = "migrations/versions/0119_alerts.py"  # of the versions with alerts
_ENDS = """
SELECT r.run_id, r.status, s.pid, (SELECT count(*) FROM alert_events e WHERE e.run_id = r.id) AS events,
r.finished_at >= (SELECT created_at FROM alert_rules) AS after_rule
FROM runs r JOIN run_attempts a ON a.run_id = r.id AND a.number = r.attempt LEFT JOIN services s ON s.id = a.owner
"""


class AlertUpgradeExperiment(UpgradeExperiment):
    """The rule is stored when the first server is exchanged; what the other one ends until then has no event."""

    _receiver: Receiver
    _told: Told | None = None
    _untold = 0

    def run(self) -> list[str]:
        self._new: set[int] = set()  # processes of this version
        with Receiver() as self._receiver:
            return super().run()

    def figures(self) -> Figures:
        counts, samples = super().figures()
        counts = {name: number for name, number in counts.items() if name != "runs executed"}
        counts |= {
            "runs that a server of the version before has ended after the rule was stored": self._untold,
            "requests to receivers": len(self._receiver.requests),
        }
        return Figures(counts, samples)

    def _make_source(self, folder: Path) -> Path:
        """Take the version before from the history of Git."""
        log = ["git", "log", "--diff-filter=A", "--format=%H", "--", _FIRST]
        first = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
        if not first:
            raise ExperimentError("the version before alerts is needed: this checkout has no history")
        folder.mkdir()
        archive = subprocess.run(
            ["git", "archive", f"{first[-1]}^", "app", "migrations"], cwd=ROOT, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        return folder / "app"

    def _make_servers(self) -> list[Server]:
        home, url = self._sandbox.directory / "home", self._sandbox.url
        logs = [self._sandbox.directory / f"server-{number}.log" for number in range(self._plan.servers)]
        return [NextServer(self._source, home, url, log=log) for log in logs]

    def _make_next(self, old: Server) -> Server:
        return Server(old.home, self._sandbox.url, log=old.output)

    def _store(self) -> None:
        self._servers[0].api.store("flow", FAILS)
        self._servers[0].api.store("minutely", f"schedule: '* * * * *'\n{FAILS}")

    def _exchange(self, position: int, clients: Clients) -> None:
        super()._exchange(position, clients)
        server = self._servers[position]
        self._new.add(server.pid)
        if position == 0:
            add_channel(server.api, HOOK, self._receiver.url(f"/{HOOK}"))
            add_rule(server.api, HOOK)

    def _violations(self, answered: set[str], watch: OwnerWatch, begin: datetime) -> Iterator[str]:
        del watch, begin
        rows = store.query(self.url, _ENDS)
        yield from (f"lost: {run} was answered and is not there" for run in answered - {row.run_id for row in rows})
        old = set()
        for row in rows:
            if row.status != RunStatus.FAILED:
                yield f"{row.run_id} has the status {row.status}"
            if row.after_rule and row.pid not in self._new and not row.events:
                old.add(row.run_id)
        self._untold += len(old)
        alerts = wait_until_told(self.url)
        after = {row.run_id for row in rows if row.after_rule} - old
        told = Told(
            alerts._replace(failed=[run for run in alerts.failed if run.run_id in after]), self._receiver.requests
        )
        yield from told.find_violations()
        yield from (sentence for sentence in invariants.find_violations(self.url) if not any(map(sentence.count, old)))

    def _downgrade(self) -> None:
        """There is one round: the version before has no migration of this one to take back."""
