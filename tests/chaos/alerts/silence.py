"""All servers but one are killed, then that one, too (FA9): who notices.

The watch of this experiment is that of kind ``server`` and of channels of type ``ping``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.chaos.alerts.receiver import Receiver
from tests.chaos.alerts.told import HOOK, add_channel, add_rule
from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.server import Server, all_running
from tests.process.waiting import wait_for

_SERVERS = 3
_PING, _EVERY = "alive", 60  # seconds from one ping to the next
_MOST_SECONDS = 100  # until a killed server is told
_MARGIN = 5.0


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
        return Figures({"servers killed": _SERVERS * len(self._last)}, samples)

    def _round(self) -> Iterator[str]:
        home, url = self._sandbox.directory / "home", self._sandbox.url
        logs = [self._sandbox.directory / f"server-{number}.log" for number in range(_SERVERS)]
        settings = {"test_alert_speed": str(self._plan.speed)}
        servers = [Server(home, url, log=log, settings=settings) for log in logs]
        with all_running(servers):
            *others, last = servers
            add_channel(last.api, HOOK, self._receiver.url(f"/{HOOK}"))
            add_rule(last.api, HOOK, on=["server"])
            address = self._receiver.url(f"/{_PING}")
            body = {"name": _PING, "type": "ping", "url": address, "everySeconds": _EVERY}
            last.api.client.post("/alert-channels", json=body)  # there already after the first round
            pings = len(self._receiver.of(f"/{_PING}"))
            wait_for("a ping", lambda: len(self._receiver.of(f"/{_PING}")) > pings, seconds=2 * self._every + _MARGIN)
            before, killed = len(self._told()), time.time()
            for server in others:
                server.kill()
            wait_for("the alert", lambda: len(self._told()) > before, seconds=_MOST_SECONDS + _MARGIN)
            self._noticed.append(self._told()[-1] - killed)
            if self._noticed[-1] > _MOST_SECONDS:
                yield f"the kill of all servers but one was told after {self._noticed[-1]:.0f} s"
            last.kill()
            killed = time.time()
            heard = [request.at for request in self._receiver.of(f"/{_PING}")]
            self._last.append(killed - heard[-1])
            if self._last[-1] > self._every + _MARGIN:
                yield f"the last ping came {self._last[-1]:.0f} s before the kill of the last server"
            time.sleep(1.5 * self._every)  # silence is what is tried
            if len(self._receiver.of(f"/{_PING}")) > len(heard):
                yield "a ping came after the last server was killed"
            yield from invariants.find_violations(last.database_url)

    def _told(self) -> list[float]:
        return [each.at for each in self._receiver.of(f"/{HOOK}") if each.body["type"] == "alert.opened"]
