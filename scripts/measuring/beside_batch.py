"""Measure a batch of 10,000 items on SQLite, and what its runs cost others, compared with the same runs of a client.

    python -m scripts.measuring.beside_batch beside --result FILE

Others start ten runs a second of another DAG and read the list of runs. First a batch is worked off beside them, then a
client enqueues as many runs of the same DAG as the batch has begun, at that rate.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import httpx

from dagbook.unix.signals import give_children_default_signals
from scripts.measuring.clients import measure_on_sqlite, measuring_options, pace
from tests.process.server import Server
from tests.process.waiting import wait_for

_STARTS_PER_SECOND, _READS_PER_SECOND = 10.0, 5.0
_SECONDS, _QUICK_SECONDS = 60.0, 4.0
_ITEMS, _QUICK_ITEMS, _PAGE = 10_000, 300, 500
_FED, _OTHER = "fed", "other"
_STEPS = "maxActiveRuns: 4\nsteps: [{name: a, command: sleep 0.2}]\n"
_LAST = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)


class _Scene:
    """A server without a scheduler, with a DAG that a batch runs, and one that others start."""

    def __init__(self, server: Server, seconds: float, items: int) -> None:
        self._client = server.api.client
        self._seconds = seconds
        self._items = items
        self.failures: list[str] = []
        server.api.store(_FED, f"schedule: 'CRON_TZ=UTC * * * * *'\n{_STEPS}")
        server.api.store(_OTHER, "maxActiveRuns: 100\nsteps: [{name: a, command: 'true'}]\n")

    def measure(self) -> dict[str, list[float]]:
        """Return samples by the name of what was measured."""
        begin = time.monotonic()
        batch = self._make()
        made = [(time.monotonic() - begin) * 1000]
        starts, lists = self._others()
        pages = pace(20, 2, lambda _: self._get(f"/batches/{batch}/items?perPage={_PAGE}"), threads=1)
        self._client.post(f"/batches/{batch}/cancel", json={"stopRuns": True}).raise_for_status()
        counts = self._client.get(f"/batches/{batch}").json()["counts"]
        fed = counts["done"] + counts["begun"]
        if not fed:
            self.failures.append("the batch has begun no run meanwhile")
        self._settle()
        with ThreadPoolExecutor(1) as pool:
            rate = max(fed, 1) / self._seconds
            feeder = pool.submit(pace, max(fed, 1), rate, lambda _: self._post(f"/dags/{_FED}/enqueue"), 4)
            starts_beside_api, lists_beside_api = self._others()
            feeder.result()
        self._settle()
        return {
            "made": made,
            "page_of_items": pages,
            "start_beside_batch": starts,
            "start_beside_api": starts_beside_api,
            "list_beside_batch": lists,
            "list_beside_api": lists_beside_api,
        }

    def _make(self) -> int:
        first = _LAST - timedelta(minutes=self._items - 1)
        times = {"from": first.isoformat(), "to": _LAST.isoformat(), "expect": self._items}
        answer = self._client.post("/batches", json={"action": "start", "dag": _FED, "parallel": 4, **times})
        return int(answer.raise_for_status().json()["batchId"])

    def _others(self) -> tuple[list[float], list[float]]:
        """Start runs and read lists for a while; returns the times of both."""
        with ThreadPoolExecutor(1) as pool:
            count = round(self._seconds * _READS_PER_SECOND)
            lists = pool.submit(pace, count, _READS_PER_SECOND, lambda _: self._get("/dag-runs?limit=100"), 4)
            count = round(self._seconds * _STARTS_PER_SECOND)
            starts = pace(count, _STARTS_PER_SECOND, lambda _: self._post(f"/dags/{_OTHER}/start"), threads=8)
            return starts, lists.result()

    def _settle(self) -> None:
        def idle() -> bool:
            summary = self._client.get("/queues").raise_for_status().json()["summary"]
            return bool(summary["totalRunning"] + summary["totalQueued"] == 0)

        wait_for("the end of all runs", idle, seconds=180)

    def _get(self, path: str) -> None:
        self._expect(self._client.get(path))

    def _post(self, path: str) -> None:
        self._expect(self._client.post(path, json={}))

    def _expect(self, answer: httpx.Response) -> None:
        if not answer.is_success:
            self.failures.append(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenario", type=click.Choice(["beside"]))
@measuring_options
def beside_batch(scenario: str, number: int, result: Path, *, quick: bool) -> None:
    """Measure one round."""
    del number

    def measure(server: Server) -> tuple[dict[str, list[float]], list[str]]:
        scene = _Scene(server, *((_QUICK_SECONDS, _QUICK_ITEMS) if quick else (_SECONDS, _ITEMS)))
        return scene.measure(), scene.failures

    measure_on_sqlite(("batch", scenario, __spec__.name), result, measure, schedules=False)


if __name__ == "__main__":
    give_children_default_signals()
    beside_batch(prog_name="python -m scripts.measuring.beside_batch")
