"""Servers are exchanged one by one for those of the next version while events are sent (FB10)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import httpx

from tests.chaos.experiment import Figures
from tests.chaos.triggers import inbox, senders
from tests.chaos.triggers.inbox import PUSH
from tests.chaos.triggers.senders import TOKEN, Event, Hook, Sent, add_hook
from tests.chaos.upgrade import Clients, OwnerWatch, UpgradeExperiment, UpgradePlan

_EVERY_TWICE = 5


class _Sender(Clients):
    """A sender of events: an exchange may cost an answer, or answer 503."""

    def __init__(self, plan: UpgradePlan, hook: Hook, sent: dict[str, Sent]) -> None:
        super().__init__(plan)
        self._hook = hook
        self._sent = sent

    def _start(self, run_id: str, how: str) -> None:
        super()._start(run_id, how)
        if len(self._sent) % _EVERY_TWICE == 0:
            super()._start(run_id, how)

    def _post(self, address: str, run_id: str, how: str) -> httpx.Response:
        del how
        sent = self._sent.setdefault(run_id, Sent(Event(PUSH, run_id)))
        headers = self._hook.headers(run_id, sent.event.body)
        sent.lost += 1  # until there is an answer
        answer = httpx.post(f"{address}hooks/{PUSH}", content=sent.event.body, headers=headers, timeout=30)
        sent.lost -= 1
        sent.take(answer)
        return answer


class TriggerUpgradeExperiment(UpgradeExperiment):
    def run(self) -> list[str]:
        self._sent: dict[str, Sent] = {}
        return super().run()

    def figures(self) -> Figures:
        counts, samples = super().figures()
        counts = {name: number for name, number in counts.items() if not name.startswith("runs ")}
        return Figures(counts | senders.count(self._sent.values()), samples)

    def _store(self) -> None:
        api = self._servers[0].api
        inbox.store_dags(api, self._witness.path)
        self._hook = add_hook(api, PUSH, PUSH, TOKEN)

    def _make_clients(self) -> Clients:
        return _Sender(self._plan, self._hook, self._sent)

    def _violations(self, answered: set[str], watch: OwnerWatch, begin: datetime) -> Iterator[str]:
        del answered, watch, begin
        inbox.wait_until_settled(self.url)
        yield from inbox.find_violations(self.url, self._sent.values(), self._witness)
