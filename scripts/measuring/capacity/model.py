"""Predict load, latency and disk of an installation on PostgreSQL from what single things cost.

The costs are those that ``measure`` has written. A run has two steps of a shell. Not predicted: what the steps do,
their output, and reads of users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from scripts.measuring.capacity.meter import Cost
from scripts.measuring.figures.results import quantile

ALONE, GROUPED = "a run of 2 steps", "a run of 2 steps, 32 at a time"
SERVER, WORKER, CARRIED = "an idle server, a second", "an idle worker, a second", "a run of 2 steps by a worker"
PAGE, WATCHED, DELETED = "an open page, a second", "a run of 2 steps, for each open page", "a deleted run"
PROCESSES, HISTORY = (1, 2, 4, 8), (10_000, 1_000_000, 10_000_000)  # that are checked
LATENCY, FLUSH = "start to end of 2 steps, ms", "flush to the disk, ms"
ACTIVE = 32  # runs in GROUPED
PAGES = 20  # open while WATCHED was measured
CONNECTIONS = 18  # of a server: its pool, notifications, the transport to workers
MAX_CONNECTIONS = 97  # PostgreSQL's default, without those of administrators
READS_A_SECOND = 50.0  # of the live feed of a server (dagbook/api/live/feed.py)
LARGE_BYTES = 2.0**40  # of a database, whose backup, restore or new index takes hours
FANOUT = 200  # entries on a page of an index of ids
KEPT_HOURS = 30 * 24
BUSY = 0.8  # what is used more makes runs wait
_TRANSIENT = {"changes", "queue_entries"}  # tables that do not grow with the history
_ROUNDS = 50


class Installation(msgspec.Struct, frozen=True):
    """What is predicted: processes, runs an hour, runs that are kept, open pages, cores of PostgreSQL's machine."""

    servers: int = 1
    runs_an_hour: float = 1_000
    history: float = 10_000
    pages: int = 20
    database_cores: int = 8


class Prediction(msgspec.Struct, frozen=True):
    """How much of each resource is used, 1 being all of it; the latency of a run, or None where it is not reached."""

    server: float  # its core
    database: float  # its cores
    connections: float
    size: float  # of the database
    latency_ms: float | None
    wal_bytes: float  # a second

    @property
    def first_wall(self) -> str:
        """The resource that is used most."""
        return max(("server", "database", "connections", "size"), key=lambda name: float(getattr(self, name)))


class Costs(msgspec.Struct, frozen=True):
    """What was measured, by name."""

    samples: Mapping[str, Sequence[float]]

    def of(self, name: str) -> Cost:
        """Return the cost of a thing; raises KeyError when it was not measured."""
        fields = [field for field in Cost.__struct_fields__ if field != "seconds"]
        return Cost(**{field: self.middle(f"{name}: {field}") for field in fields})

    def middle(self, name: str) -> float:
        """Return the median of a sample."""
        return quantile(sorted(self.samples[name]), 0.5)

    def bytes_by_table(self) -> dict[str, float]:
        """Return by how many bytes a run lets each table grow, with its indexes."""
        prefix = f"bytes of {ALONE}: "
        return {name.removeprefix(prefix): self.middle(name) for name in self.samples if name.startswith(prefix)}

    @property
    def bytes_a_run(self) -> float:
        """The disk that a finished run takes."""
        return sum(size for table, size in self.bytes_by_table().items() if table not in _TRANSIENT)

    def a_commit(self) -> Cost:
        """Return what a commit costs beside the rows in it: the difference between few and many runs in each."""
        alone, grouped = self.of(ALONE), self.of(GROUPED)
        return alone.plus(grouped, -1).per(max(alone.commits - grouped.commits, 0.1))

    def a_run(self, rate: float) -> Cost:
        """Return what a run costs on a server that starts so many a second: the more, the more share a commit."""
        alone, grouped, commit = self.of(ALONE), self.of(GROUPED), self.a_commit()
        # What is left of each second for commits, beside the rows in them.
        spare = max(1 - rate * (grouped.server_ms + grouped.database_ms) / 1000, 1 / ACTIVE)
        seconds = (max(commit.server_ms + commit.database_ms, 0) + self.middle(FLUSH)) / 1000
        commits = alone.commits / (1 + rate * alone.commits * seconds / spare)
        return alone.plus(commit, commits - alone.commits)


def predict(costs: Costs, what: Installation) -> Prediction:
    """Predict an installation with a machine for PostgreSQL and one for each server."""
    rate = what.runs_an_hour / 3600
    run, idle, page = costs.a_run(rate / what.servers), costs.of(SERVER), costs.of(PAGE)
    watched, deleted = costs.of(WATCHED), costs.of(DELETED)
    # Each server with open pages reads the changes of all servers, at most every 20 ms, and pushes them to its pages.
    reads = min(what.servers, what.pages) * min(rate * costs.of(ALONE).commits, READS_A_SECOND)
    read_ms = PAGES * max(watched.database_ms, 0) / costs.of(ALONE).commits
    server_ms = rate / what.servers * run.server_ms + idle.server_ms
    server_ms += what.pages / what.servers * (page.server_ms + rate * watched.server_ms)
    # As many runs are deleted as start, once the history is as long as it is kept.
    database_ms = rate * (run.database_ms + deleted.database_ms) + reads * read_ms
    database_ms += what.servers * idle.database_ms
    server, database = server_ms / 1000, database_ms / 1000 / what.database_cores
    busy = max(server, database)
    return Prediction(
        server,
        database,
        connections=what.servers * CONNECTIONS / MAX_CONNECTIONS,
        size=what.history * costs.bytes_a_run / LARGE_BYTES,
        latency_ms=costs.middle(LATENCY) / (1 - busy) if busy < 1 else None,
        wal_bytes=rate * (run.wal_bytes + deleted.wal_bytes),
    )


def rate_at_wall(costs: Costs, servers: int, wall: str) -> float:
    """Return the runs an hour at which a resource is used up to BUSY, with a history of 30 days."""
    low, high = 0.0, 1e9
    for _ in range(_ROUNDS):
        rate = (low + high) / 2
        use = getattr(predict(costs, Installation(servers, rate, KEPT_HOURS * rate)), wall)
        low, high = (rate, high) if use < BUSY else (low, rate)
    return low


def highest_rate(costs: Costs, servers: int, cores: float, *, workers: int = 0) -> float:
    """Predict the rate at which so many servers, PostgreSQL, steps and the client use all cores of one machine."""
    spare = cores * 1000 - servers * total_ms(costs.of(SERVER)) - workers * total_ms(costs.of(WORKER))
    carried = costs.of(CARRIED).plus(costs.of(ALONE), -1) if workers else Cost()
    rate = 0.0
    for _ in range(_ROUNDS):  # a run's cost depends on the rate; half of each step keeps it from swinging
        run = costs.a_run(rate / max(workers, servers)).plus(carried)
        most = min(spare / total_ms(run), servers * 1000 / run.server_ms if not workers else math.inf)
        rate = (rate + most) / 2
    return rate


def total_ms(cost: Cost) -> float:
    """Return the CPU time of all processes."""
    return cost.server_ms + cost.step_ms + cost.database_ms + cost.client_ms


def levels(runs: float) -> int:
    """Predict the pages that a search in an index of ids reads."""
    return max(math.ceil(math.log(runs, FANOUT)), 1)
