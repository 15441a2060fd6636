"""Admission of runs: the policies of starts, and which queued runs may start now (runtime 22). Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from typing import assert_never

import msgspec

Labels = Mapping[str, str]
_MAX_NAMED_RUNS = 3
EVERYTHING_PAUSED = "everything is paused"
ANOTHER_RUN = "another run"  # instead of the names of one that the reader may not see


class Admission(Enum):
    """Policy of a start: what happens at the limit of active runs of its DAG, and when its queue is full."""

    # Start or enqueue without other wishes, and retry: refused at the limit of its DAG, queued when its queue is full.
    START = auto()
    # Start with ``singleton``: refused at that limit, while any run of its DAG is active, and when its queue is full.
    SINGLETON = auto()
    # New run from an existing one: refused as a singleton, but queued when its queue is full.
    RESCHEDULE = auto()
    # Start of a schedule, which no caller would repeat: queued also at the limit of its DAG. It is refused there only
    # if the DAG allows one run at a time, or if its queue is shared, where the limit counts queued runs as well.
    SCHEDULE = auto()
    # Restart, catch-up of a missed start, and next attempt of a sub-run: not limited.
    UNLIMITED = auto()

    @property
    def is_singleton(self) -> bool:
        """Whether it is refused while any run of its DAG is active."""
        return self in (Admission.SINGLETON, Admission.RESCHEDULE)


class QueuedRun(msgspec.Struct, frozen=True):
    """A queued run: its key and queue, the active runs its DAG allows, the labels its worker needs, and its DAG.

    No pause of everything stops a sub-run, which belongs to an active run.
    """

    run: int
    queue: str
    max_active_runs: int
    selector: Labels = {}
    dag_name: str = ""
    is_sub_run: bool = False


class WorkerAccess(Enum):
    """Whether the servers can hand runs to workers."""

    REACHABLE = auto()
    SQLITE = auto()  # the database belongs to one process
    NO_EXTRA = auto()  # the servers lack the library that does it


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Queue settings: whether queues are served, and the limits of active runs of the configured ones.

    With ``ignore_selectors`` a ``workerSelector`` has no effect.
    """

    enabled: bool = True
    limits: Mapping[str, int] = {}
    ignore_selectors: bool = False
    workers: WorkerAccess = WorkerAccess.REACHABLE

    def sends_to_worker(self, selector: Labels) -> bool:
        """Whether a run whose DAG has this ``workerSelector`` needs a worker."""
        return bool(selector) and self.enabled and not self.ignore_selectors

    def counts_own(self, queue: str, dag_name: str) -> bool:
        """Whether the limit of a queue counts runs of this DAG alone: it has the DAG's name, and is not configured.

        Runs of other DAGs that a request puts there keep no run of this DAG from starting.
        """
        return queue == dag_name and queue not in self.limits

    def limit(self, entry: QueuedRun) -> int | None:
        """Return the limit of active runs in the queue of an entry; None is unlimited.

        A configured limit overrides ``maxActiveRuns`` of the DAG; any other queue has that of the DAG, at least 1.
        """
        if entry.queue in self.limits:
            return self.limits[entry.queue]
        return None if entry.max_active_runs < 0 else max(entry.max_active_runs, 1)


class ActiveRun(msgspec.Struct, frozen=True):
    """A run that counts against a queue's limit; ``since`` is None until its first step has started."""

    dag_name: str
    run_id: str
    since: datetime | None = None

    @property
    def label(self) -> str:
        """DAG name and run id, unless the names are hidden."""
        return f"{self.dag_name}/{self.run_id}" if self.run_id else self.dag_name


class Pause(msgspec.Struct, frozen=True):
    """When a queue, or ``everything``, was paused, by which actor, why, and until when."""

    since: datetime
    actor: str | None = None
    reason: str | None = None
    until: datetime | None = None
    everything: bool = False

    def describe(self, queue: str = "") -> str:
        """Describe the pause, of everything or of this queue."""
        actor = f" by {self.actor}" if self.actor else ""
        until = f" until {_format_time(self.until)}" if self.until else ""
        reason = f": {self.reason}" if self.reason else ""
        if self.everything:
            return f"{EVERYTHING_PAUSED}{actor}{until}{reason}"
        return f"queue {queue!r} is paused since {_format_time(self.since)}{actor}{until}{reason}"


class QueueSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one queue.

    ``active`` counts its active runs, of which ``active_runs`` names the first; ``own`` and ``own_runs`` are those of
    the DAG that has the name of the queue. ``workers`` has the labels of the live workers; None if no queued run has a
    selector. ``pause`` is that of the queue, ``total_pause`` that of everything.
    """

    active: int = 0
    active_runs: Sequence[ActiveRun] = ()
    own: int = 0
    own_runs: Sequence[ActiveRun] = ()
    pause: Pause | None = None
    total_pause: Pause | None = None
    workers: Sequence[Labels] | None = None


class WaitCause(StrEnum):
    OFF = "queuesOff"
    PAUSED = "paused"
    LIMIT = "limit"
    WORKER = "noWorker"
    TURN = "turn"  # nothing: it is about to start


class WaitReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run is queued: the runs ahead of it, and what the first of them, or else the run itself, waits for."""

    cause: WaitCause
    queue: str
    ahead: int = 0
    limit: int | None = None
    is_limit_of_queue: bool = False  # else it is the maxActiveRuns of the DAG
    active: int = 0
    active_runs: Sequence[ActiveRun] = ()
    pause: Pause | None = None
    selector: Labels = {}
    worker_access: WorkerAccess = WorkerAccess.REACHABLE

    @property
    def text(self) -> str:
        if not self.ahead:
            return self._cause
        ahead = f"{self.ahead} ahead in queue {self.queue!r}"
        return f"{ahead}, ready to start" if self.cause is WaitCause.TURN else f"{ahead}; {self._cause}"

    @property
    def _cause(self) -> str:
        match self.cause:
            case WaitCause.OFF:
                return "queues are switched off (queues_enabled)"
            case WaitCause.PAUSED:
                return f"queue {self.queue!r} is paused" if self.pause is None else self.pause.describe(self.queue)
            case WaitCause.LIMIT:
                source = "limit of the queue" if self.is_limit_of_queue else "maxActiveRuns of the DAG"
                full = f"queue {self.queue!r} is at its limit: {self.active} of {self.limit} runs active ({source})"
                return full + _format_runs(self.active_runs, self.active)
            case WaitCause.WORKER:
                return _no_worker_text(self.selector, self.worker_access)
            case WaitCause.TURN:
                return "ready to start"
            case _:
                assert_never(self.cause)


class AdmissionResult(msgspec.Struct, frozen=True):
    """The runs that may start, in queue order, and the wait reason of each of the others."""

    released: tuple[int, ...]
    queued: Mapping[int, WaitReason]


def admit(entries: Sequence[QueuedRun], states: Mapping[str, QueueSnapshot], queues: QueueConfig) -> AdmissionResult:
    """Decide which runs may start now; ``entries`` are in queue order, ``states`` by queue.

    A queue is strictly first in, first out: a blocked run blocks all runs behind it.
    """
    released: list[int] = []
    queued: dict[int, WaitReason] = {}
    current = dict(states)
    heads: dict[str, WaitReason] = {}
    for entry in entries:
        state = current.get(entry.queue, QueueSnapshot())
        wait = heads.get(entry.queue) or wait_reason(entry, state, queues)
        if wait is None:
            released.append(entry.run)
            own = state.own + (entry.dag_name == entry.queue)
            current[entry.queue] = msgspec.structs.replace(state, active=state.active + 1, own=own)
        else:
            queued[entry.run] = wait
            heads[entry.queue] = queued_behind(wait, wait.ahead + 1)
    return AdmissionResult(tuple(released), queued)


def wait_reason(entry: QueuedRun, state: QueueSnapshot, queues: QueueConfig) -> WaitReason | None:
    """Return why the first run of a queue may not start; None if it may."""
    if not queues.enabled:
        return WaitReason(cause=WaitCause.OFF, queue=entry.queue)
    if pause := (None if entry.is_sub_run else state.total_pause) or state.pause:
        return WaitReason(cause=WaitCause.PAUSED, queue=entry.queue, pause=pause)
    limit = queues.limit(entry)
    counts_own = queues.counts_own(entry.queue, entry.dag_name)
    active = state.own if counts_own else state.active
    if limit is not None and active >= limit:
        return WaitReason(
            cause=WaitCause.LIMIT,
            queue=entry.queue,
            limit=limit,
            is_limit_of_queue=entry.queue in queues.limits,
            active=active,
            active_runs=state.own_runs if counts_own else state.active_runs,
        )
    if queues.ignore_selectors or not entry.selector or state.workers is None:
        return None
    is_reachable = queues.workers is WorkerAccess.REACHABLE
    if is_reachable and any(fits(entry.selector, labels) for labels in state.workers):
        return None
    return WaitReason(cause=WaitCause.WORKER, queue=entry.queue, selector=entry.selector, worker_access=queues.workers)


def fits(selector: Labels, labels: Labels) -> bool:
    """Whether a worker has all labels of a selector."""
    return all(labels.get(name) == value for name, value in selector.items())


def queued_behind(head: WaitReason, ahead: int) -> WaitReason:
    """Return the wait reason of a run with ``ahead`` runs before it, of which the first waits for ``head``."""
    return msgspec.structs.replace(head, ahead=ahead)


def ready(queue: str) -> WaitReason:
    """Return the wait reason of a run that may start and has not started yet."""
    return WaitReason(cause=WaitCause.TURN, queue=queue)


def _no_worker_text(selector: Labels, access: WorkerAccess) -> str:
    pairs = [f"{name}={value}" for name, value in sorted(selector.items())]
    missing = f"no worker has the labels {', '.join(pairs)}"
    start = shlex.join(["dagbook", "worker", *(f"--label={pair}" for pair in pairs)])
    match access:
        case WorkerAccess.REACHABLE:
            return missing
        case WorkerAccess.SQLITE:
            return (
                f"{missing}: workers need a PostgreSQL database, this is SQLite; set database_url and start `{start}`, "
                "or set ignore_worker_selector to run such DAGs here"
            )
        case WorkerAccess.NO_EXTRA:
            return (
                "the servers cannot hand it to a worker, because they lack the extra distributed; "
                "pip install 'dagbook[distributed]' where dagbook serve runs"
            )


def _format_runs(holders: Sequence[ActiveRun], live: int) -> str:
    named = [
        one.label + (f" since {_format_time(one.since)}" if one.since else "") for one in holders[:_MAX_NAMED_RUNS]
    ]
    more = [f"{live - len(named)} more"] if named and live > len(named) else []
    return f": {', '.join([*named, *more])}" if named else ""


def _format_time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
