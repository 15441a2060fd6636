"""What some work costs: statements, commits, rows and WAL of PostgreSQL, and the CPU time of each kind of process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

import msgspec
import psutil
from sqlalchemy import make_url

from tests.process import store
from tests.process.postgres import Cluster
from tests.process.server import Server

UNSEEN = "/* meter */"  # in statements that are not counted
_COUNTS = f"""SELECT
    coalesce(sum(calls) FILTER (WHERE query !~* '^(BEGIN|COMMIT|ROLLBACK|NOTIFY|SET|SHOW)'), 0)::float AS statements,
    coalesce(sum(calls) FILTER (WHERE query ~* '^BEGIN' AND query !~* 'READ ONLY'), 0)::float AS commits,
    coalesce(sum(calls) FILTER (WHERE query ~* '^NOTIFY|pg_notify'), 0)::float AS notifications,
    coalesce(sum(rows) FILTER (WHERE query ~* '^(INSERT|UPDATE|DELETE|WITH)'), 0)::float AS rows,
    pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float AS wal_bytes,
    split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int AS pid
    FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
    WHERE datname = :name AND query NOT LIKE '%{UNSEEN}%'"""  # noqa: S608 - a constant


class Cost(msgspec.Struct, frozen=True):
    """Totals since some time, or the difference of two, or what one of many things took.

    Rows are those that statements have inserted, changed or deleted; those of triggers and cascades are not counted.
    """

    seconds: float = 0.0
    statements: float = 0.0  # without BEGIN, COMMIT, ROLLBACK and NOTIFY
    commits: float = 0.0  # of transactions that may write
    notifications: float = 0.0
    rows: float = 0.0
    wal_bytes: float = 0.0
    server_ms: float = 0.0  # CPU time
    step_ms: float = 0.0  # of the servers' children that have ended
    database_ms: float = 0.0
    client_ms: float = 0.0

    def plus(self, other: Self, times: float = 1.0) -> Self:
        """Return the sum with a multiple of another cost."""
        pairs = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return type(self)(*(mine + times * its for mine, its in pairs))

    def per(self, count: float) -> Self:
        """Return the cost of one of ``count`` things."""
        return type(self)().plus(self, 1 / count)


def make_cluster() -> Cluster:
    """Start a durable PostgreSQL server that counts statements."""
    cluster = Cluster(durable=True)
    store.execute(cluster.url, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    cluster.stop()
    cluster.start()
    store.execute(cluster.url, "CREATE EXTENSION pg_stat_statements")
    return cluster


class Meter:
    """Reads the costs of servers and workers, and of the PostgreSQL server of their database."""

    def __init__(self, cluster: Cluster, url: str, servers: Sequence[Server]) -> None:
        self._cluster = cluster.url
        self._name = make_url(url).database
        self._servers = [psutil.Process(server.pid) for server in servers]

    def read(self) -> Cost:
        """Return the totals until now."""
        [counted] = store.query(self._cluster, _COUNTS, name=self._name)
        postmaster = psutil.Process(counted.pid)
        return Cost(
            time.monotonic(),
            counted.statements,
            counted.commits,
            counted.notifications,
            counted.rows,
            counted.wal_bytes,
            sum(_own_ms(process) for process in self._servers),
            sum(_ended_ms(process) for process in self._servers),
            _with_children_ms(postmaster),
            _own_ms(psutil.Process()),
        )

    def connections(self) -> float:
        """Return how many connections the database has."""
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"
        return float(store.query(self._cluster, count, name=self._name)[0][0])

    def since(self, begin: Cost) -> Cost:
        """Return what was spent since ``begin``."""
        return self.read().plus(begin, -1)


def _own_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system) * 1000


def _with_children_ms(process: psutil.Process) -> float:
    spent = _own_ms(process)
    for child in process.children():
        with suppress(psutil.NoSuchProcess):  # it has ended just now, and is counted below
            spent += _own_ms(child)
    return spent + _ended_ms(process)


def _ended_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.children_user + times.children_system) * 1000
