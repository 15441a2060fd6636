"""All servers but one are killed, then that one, too (FA9): who notices.

An alert of the kind ``server`` reports the first; a service that gets no more pings notices the second. Each round has
a database of its own: an alert that begins again within 15 minutes of its end is not told again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import HOOK, PING, add_channel, add_rule
from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox, make_sandbox
from tests.process import invariants, store
from tests.process.server import Server, all_running
from tests.process.waiting import wait_for

_SERVERS = 3
_EVERY = 60  # seconds from one ping to the next
_MOST_SECONDS = 100  # until a killed server is told
_MARGIN = 5.0
_UNDER_WAY = 1.0  # a ping that was sent before the kill arrives after it
_SHORT_LEASE = "2"
# A server that begins after the last sign of life of another one takes its place.
_ALIVE = "SELECT 1 FROM services WHERE stopped_at IS NULL AND heartbeat_at > (SELECT max(started_at) FROM services)"


class SilencePlan(NamedTuple):
    """How often the servers are killed, and by what times of alerts are divided."""

    rounds: int
    speed: int = 1


class SilenceExperiment:
    def __init__(self, sandbox: Sandbox, plan: SilencePlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._sandbox = sandbox
        self._plan = plan
        self._every = _EVERY / plan.speed
        self._receiver = Receiver()
        self._progress = Progress(show)
        self._noticed: list[float] = []
        self._last: list[float] = []

    def run(self) -> list[str]:
        found: list[str] = []
        with self._receiver:
            for number in range(self._plan.rounds):
                self._progress.now(f"round {number + 1} of {self._plan.rounds}")
                found += self._round()
        return found

    def figures(self) -> Figures:
        samples = {
            "seconds until the kill of all servers but one was told": self._noticed,
            "seconds from the last ping to the kill of the last server": self._last,
        }
        counts = {"servers killed": _SERVERS * len(self._last), "pings": len(self._pings())}
        return Figures(counts, samples)

    def _round(self) -> Iterator[str]:
        with make_sandbox(self._sandbox.url) as sandbox, all_running(servers := self._make_servers(sandbox)):
            *others, last = servers
            self._wait_until_all_is_well(last)
            yield from self._kill_all_but_one(others, last)
            yield from self._kill_the_last(last)
            yield from invariants.find_violations(last.database_url)

    def _make_servers(self, sandbox: Sandbox) -> list[Server]:
        folder, settings = sandbox.directory, {"test_alert_speed": str(self._plan.speed)}
        if self._plan.speed > 1:
            settings["lease_seconds"] = _SHORT_LEASE
        logs = [folder / f"server-{number}.log" for number in range(_SERVERS)]
        return [Server(folder / "home", sandbox.url, log=log, settings=settings) for log in logs]

    def _wait_until_all_is_well(self, server: Server) -> None:
        """Add channels and a rule, and wait for pings and signs of life."""
        add_channel(server.api, HOOK, self._receiver.url(f"/{HOOK}"))
        add_rule(server.api, HOOK, on=["server"])
        pings = len(self._pings())
        add_channel(server.api, PING, self._receiver.url(f"/{PING}"), everySeconds=_EVERY)
        wait_for("signs of life", lambda: len(store.query(server.database_url, _ALIVE)) == _SERVERS)
        wait_for("a ping", lambda: len(self._pings()) > pings, seconds=2 * self._every + _MARGIN)

    def _kill_all_but_one(self, others: Sequence[Server], last: Server) -> Iterator[str]:
        before, killed = len(self._told()), time.time()
        for server in others:
            server.kill()
        wait_for("the alert", lambda: len(self._told()) > before, seconds=_MOST_SECONDS + _MARGIN)
        self._noticed.append(self._told()[before] - killed)
        if self._noticed[-1] > _MOST_SECONDS:
            yield f"the kill of all servers but one was told after {self._noticed[-1]:.0f} s"
        wait_for("all in one alert", lambda: _open_alerts(last) == [len(others)])

    def _kill_the_last(self, last: Server) -> Iterator[str]:
        last.kill()
        killed = time.time()
        time.sleep(1.5 * self._every + _UNDER_WAY)  # silence is what is tried
        end = killed + _UNDER_WAY
        self._last.append(killed - max(at for at in self._pings() if at <= end))
        if self._last[-1] > self._every + _MARGIN:
            yield f"the last ping came {self._last[-1]:.0f} s before the kill of the last server"
        if late := sum(at > end for at in self._pings()):
            yield f"{late} pings came after the last server was killed"

    def _pings(self) -> list[float]:
        return [each.at for each in self._receiver.of(f"/{PING}")]

    def _told(self) -> list[float]:
        return [each.at for each in self._receiver.of(f"/{HOOK}") if each.body["type"] == "alert.opened"]


def _open_alerts(server: Server) -> list[int]:
    """Return how many events each open alert has."""
    answer = server.api.client.get("/alerts", params={"open": "true"})
    return [alert["count"] for alert in answer.raise_for_status().json()["alerts"]]
