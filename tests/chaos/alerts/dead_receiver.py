"""One of two receivers is down while runs fail (FA3): what it costs, and what is told when it is back."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.chaos.alerts.receiver import Receiver, Reply
from tests.chaos.alerts.told import CHAT, FAILS, HOOK, Told, add_channel, add_rule, read_rows, wait_until_told
from tests.chaos.experiment import Figures, Progress
from tests.chaos.sandbox import Sandbox
from tests.process import invariants
from tests.process.server import Server
from tests.process.waiting import NotInTimeError

_MOST_MESSAGES, _MOST_SECONDS = 3, 60
_MARGIN = 10  # seconds for reading rows and for runs that end after its return
_SHARE = 0.95


class DeadPlan(NamedTuple):
    """How long the receiver is down, and how many runs of how many DAGs fail meanwhile."""

    seconds: float
    runs: int
    dags: int
    seed: int
    rounds: int = 1
    speed: int = 1  # by which the pauses of the server are divided
    most_delay: float = 2.0  # seconds until the other receiver is told, of 95 %


class DeadReceiverExperiment:
    """A chat whose receiver closes every connection, and a webhook whose receiver works."""

    def __init__(self, sandbox: Sandbox, plan: DeadPlan, show: Callable[[str], None] = lambda _: None) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)
        self._sandbox = sandbox
        self._receiver = Receiver()
        self._progress = Progress(show)
        self._dead: list[float] = []  # requests to the dead receiver
        self._messages: list[float] = []
        self._return: list[float] = []
        self._delays: list[float] = []
        self._failed = 0
        self._repeats = 0

    def run(self) -> list[str]:
        found: list[str] = []
        settings = {"test_alert_speed": str(self._plan.speed)}
        server = Server(self._sandbox.directory / "home", self._sandbox.url, settings=settings)
        try:
            with self._receiver:
                server.start()
                add_channel(server.api, CHAT, self._receiver.url(f"/{CHAT}"), intervalSeconds=60 // self._plan.speed)
                add_channel(server.api, HOOK, self._receiver.url(f"/{HOOK}"))
                add_rule(server.api, CHAT, HOOK)
                for number in range(self._plan.rounds):
                    found += self._round(server, number)
                rows = read_rows(server.database_url)
                told = Told(rows, self._receiver.requests)
                self._failed, self._repeats = len(rows.failed), told.repeats
                return [*found, *told.find_violations(), *invariants.find_violations(server.database_url)]
        finally:
            server.clear()

    def figures(self) -> Figures:
        counts = {
            "runs failed": self._failed,
            "alerts told": len(self._delays),
            "messages that a receiver got twice": self._repeats,
        }
        samples = {
            "requests to the receiver that is down": self._dead,
            "messages of the chat after its return": self._messages,
            "seconds from its return until all was told": self._return,
            "seconds from a failure to the other receiver": self._delays,
        }
        return Figures(counts, samples)

    def _round(self, server: Server, number: int) -> Iterator[str]:
        self._receiver.reply(f"/{CHAT}", Reply.DOWN)
        begin, down = len(self._receiver.requests), time.time()
        self._fail(server, number)
        self._receiver.reply(f"/{CHAT}")
        back = time.time()
        self._progress.now("the receiver is back")
        try:
            wait_until_told(server.database_url, seconds=_MOST_SECONDS + _MARGIN)
        except NotInTimeError as error:
            yield str(error)
        dead = sum(each.path == f"/{CHAT}" and each.reply is Reply.DOWN for each in self._receiver.requests[begin:])
        after = [each for each in self._receiver.of(f"/{CHAT}", Reply.OK) if each.at >= back]
        self._dead.append(dead)
        self._messages.append(len(after))
        self._return.append(after[-1].at - back if after else float(_MOST_SECONDS))
        if dead > (most := self._most_requests(back - down)):
            yield f"{dead} requests to a receiver that is down, more than {most}"
        if len(after) > _MOST_MESSAGES or not after:
            yield f"{len(after)} messages of the chat after its return"
        if self._return[-1] > _MOST_SECONDS / self._plan.speed + self._plan.most_delay:
            yield f"the last message came {self._return[-1]:.0f} s after the return of its receiver"
        yield from self._late(server, begin)

    def _most_requests(self, seconds: float) -> int:
        """Return the most requests while the receiver is down, 25 in ten minutes: after 5, 10, 20 s, then every 30."""
        return 4 + round(seconds * self._plan.speed / 28.5)

    def _fail(self, server: Server, number: int) -> None:
        """Start runs that fail, spread over the time that the receiver is down."""
        begin, pause = time.monotonic(), self._plan.seconds / self._plan.runs
        dags = [f"round-{number}-dag-{index}" for index in range(self._plan.dags)]
        chosen = [*dags, *self._random.choices(dags, k=self._plan.runs - len(dags))]
        self._random.shuffle(chosen)
        with ThreadPoolExecutor(4) as threads:
            for index, dag in enumerate(chosen):
                time.sleep(max(begin + index * pause - time.monotonic(), 0))  # a constant rate is what is tried
                threads.submit(server.api.start, FAILS, name=dag)
                self._progress(f"round {number + 1} of {self._plan.rounds}: {index} of {len(chosen)} runs")
        time.sleep(max(begin + self._plan.seconds - time.monotonic(), 0))  # how long it is down is what is tried

    def _late(self, server: Server, begin: int) -> Iterator[str]:
        """Compare when alerts were opened with when the other receiver was told."""
        opened = {row.id: row.opened_at.timestamp() for row in read_rows(server.database_url).deliveries}
        first: dict[str, float] = {}
        for request in self._receiver.requests[begin:]:
            if request.path == f"/{HOOK}":
                first.setdefault(request.id, request.at)
        delays = sorted(at - opened[id_] for id_, at in first.items() if id_ in opened)
        self._delays += delays
        late = delays[int(len(delays) * _SHARE)] if delays else float(_MOST_SECONDS)
        if late > self._plan.most_delay:
            yield f"95 % of the alerts were told to the other receiver within {late:.1f} s only"
