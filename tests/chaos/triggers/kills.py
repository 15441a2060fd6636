"""Servers are killed (FB2), or PostgreSQL is stopped (FB3), while events are sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.chaos.experiment import Figures
from tests.chaos.kill import KillExperiment
from tests.chaos.multi_server import MultiServerKillExperiment
from tests.chaos.outage import OutageExperiment
from tests.chaos.triggers import inbox
from tests.chaos.triggers.inbox import ORDERED, PUSH
from tests.chaos.triggers.senders import (
    DEAD,
    FILTERED,
    GITHUB,
    STANDARD,
    STARTED,
    TOKEN,
    Event,
    Senders,
    add_hook,
    addresses_of,
)
from tests.process import store
from tests.process.server import Api, Server

_KINDS = (*(STARTED,) * 18, FILTERED, DEAD)
_SHARE_ORDERED = 0.1
_SCHEMES = (TOKEN, GITHUB, STANDARD)


class _Receiving(KillExperiment):
    """Senders of events instead of clients that start runs; a tenth of the events is for a DAG with one run at a time.

    ``size.runs`` is the number of events.
    """

    _senders: Senders

    def run(self) -> list[str]:
        self._left = [self._draw_event(number) for number in range(self.size.runs)]
        with Senders(self.size.seed) as self._senders:
            return super().run()

    def figures(self) -> Figures:
        counts, samples = super().figures()
        left_out = ("steps ", "runs ", "workers ", "requests ")
        counts = {name: number for name, number in counts.items() if not name.startswith(left_out)}
        return Figures(counts | self._senders.counts(), samples)

    def _live(self, life: int) -> None:
        if life == 0:
            self._add_hooks(self.server.api)
        super()._live(life)

    def _add_hooks(self, api: Api) -> None:
        inbox.store_dags(api, self.witness.path)
        hooks = [add_hook(api, f"{PUSH}-{scheme}", PUSH, scheme) for scheme in _SCHEMES]
        hooks.append(add_hook(api, ORDERED, ORDERED, TOKEN))
        self._senders.hooks = {hook.name: hook for hook in hooks}

    def _draw_event(self, number: int) -> Event:
        if self._random.random() < _SHARE_ORDERED:
            return Event(ORDERED, f"{ORDERED}-{number}")
        hook = f"{PUSH}-{self._random.choice(_SCHEMES)}"
        return Event(hook, f"{hook}-{number}", self._random.choice(_KINDS))

    @contextmanager
    def _posting(self, life: int, span: float, longer: float = 0) -> Iterator[None]:
        """Send a share of the events; after a time the body interferes."""
        share = -(-len(self._left) // (self.size.kills - life))
        self._reach()
        self._senders.send(self._left[:share], span + longer)
        self._left = self._left[share:]
        time.sleep(span)  # how long a server lives, or PostgreSQL, is drawn
        yield

    def _reach(self) -> None:
        """Tell the senders where the servers are."""
        self._senders.addresses = addresses_of(server.api for server in self._all())

    def _show_progress(self, life: int) -> None:
        self._progress(f"{life + 1} of {self.size.kills} faults; {len(self._senders.sent)} of {self.size.runs} events")

    def _post_all(self) -> None:
        self._reach()
        self._senders.finish()

    def _wait(self) -> list[str]:
        self._progress.now("all events have to be settled, and all runs to finish")
        begin = time.monotonic()
        inbox.wait_until_settled(self.server.database_url)
        self.settling.append(time.monotonic() - begin)
        return []

    def _violations(self) -> list[str]:
        return [*inbox.find_violations(self.server.database_url, self._senders.sent.values(), self.witness)]


class TriggerKillExperiment(_Receiving, MultiServerKillExperiment):
    _waiting_events = 0

    def figures(self) -> Figures:
        counts, samples = super().figures()
        return Figures({**counts, "events waiting at a kill": self._waiting_events}, samples)

    def _end(self, victim: Server, *, gracefully: bool) -> None:
        super()._end(victim, gracefully=gracefully)
        [found] = store.query(victim.database_url, inbox.WAITING)
        self._waiting_events += found.number


class TriggerOutageExperiment(_Receiving, OutageExperiment):
    """The server is not restarted: senders repeat what it answers with 503, or not at all."""
