"""The clock of one of two servers is wrong by an hour while both receive (FB6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import httpx

from tests.chaos.alerts.clock import ShiftedServer
from tests.chaos.experiment import Figures, Progress, Witness
from tests.chaos.sandbox import Sandbox
from tests.chaos.triggers import inbox
from tests.chaos.triggers.inbox import PUSH
from tests.chaos.triggers.senders import GITHUB, STANDARD, Event, Senders, Sent, add_hook, addresses_of
from tests.process.server import all_running

_HOUR = 3600


class ClockPlan(NamedTuple):
    """How often the clock is wrong, each time the other way, and how many events each of two hooks gets then."""

    rounds: int
    events: int
    seed: int


class _Senders(Senders):
    """Senders that are told by the server with the ``wrong`` address to set the clocks, and then ask the other one."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.wrong = ""
        self.told = 0
        self.taken: dict[str, int] = {GITHUB: 0, STANDARD: 0}  # by the server with the wrong clock

    def take(self, sent: Sent, address: str, answer: httpx.Response) -> bool:
        if address == self.wrong:
            hook = sent.event.hook
            if hook == STANDARD and answer.status_code == httpx.codes.UNAUTHORIZED and "set the clocks" in answer.text:
                self.told += 1
                return False
            self.taken[hook] += answer.is_success
        return super().take(sent, address, answer)


class TriggerClockExperiment:
    """The scheme ``standard`` signs the time, ``github`` does not."""

    def __init__(self, sandbox: Sandbox, plan: ClockPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._sandbox = sandbox
        self._plan = plan
        self._progress = Progress(show)
        self._witness = Witness(sandbox.directory / "witness")
        self._senders = _Senders(plan.seed)

    def run(self) -> list[str]:
        found: list[str] = []
        with self._senders:
            for number in range(self._plan.rounds):
                self._progress.now(f"round {number + 1} of {self._plan.rounds}")
                found += self._round(number)
        return found

    def figures(self) -> Figures:
        counts = {
            "answers that name the clock": self._senders.told,
            "events that the server with the wrong clock has received": self._senders.taken[GITHUB],
        }
        return Figures(self._senders.counts() | counts)

    def _round(self, number: int) -> Iterator[str]:
        seconds = _HOUR if number % 2 else -_HOUR
        home, log = self._sandbox.directory / "home", self._sandbox.directory / "shifted.log"
        [right], wrong = self._sandbox.make_servers(1), ShiftedServer(home, self._sandbox.url, log=log, seconds=seconds)
        told, taken = self._senders.told, self._senders.taken[GITHUB]
        with all_running([right, wrong]):
            if number == 0:
                inbox.store_dags(right.api, self._witness.path)
                self._senders.hooks = {name: add_hook(right.api, name, PUSH, name) for name in (GITHUB, STANDARD)}
            self._senders.addresses = addresses_of([right.api, wrong.api])
            self._senders.wrong = self._senders.addresses[1]
            names = [f"round-{number}-event-{index}" for index in range(self._plan.events)]
            self._senders.send([Event(hook, f"{hook}-{name}") for name in names for hook in (GITHUB, STANDARD)])
            self._senders.finish()
            inbox.wait_until_settled(right.database_url)
            yield from inbox.find_violations(right.database_url, self._senders.sent.values(), self._witness)
        if self._senders.taken[STANDARD]:
            yield f"{self._senders.taken[STANDARD]} events of {STANDARD} were received with a clock that is wrong"
        if self._senders.told == told or self._senders.taken[GITHUB] == taken:
            yield f"round {number}: no sender has met the server with the wrong clock: it has shown nothing"
