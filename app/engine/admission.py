"""Which of those that wait in queues may go now, and why the others may not (runtime 22). Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from typing import assert_never

import msgspec

Labels = Mapping[str, str]
_MOST_NAMED = 3


class Entry(msgspec.Struct, frozen=True):
    """A run that waits: its key and queue, how many active runs its DAG allows, what labels a worker has to have."""

    run: int
    queue: str
    max_active_runs: int
    selector: Labels = {}


class WorkerAccess(Enum):
    """Whether the servers can hand runs to workers."""

    REACHABLE = auto()
    SQLITE = auto()  # the database belongs to one process
    NO_EXTRA = auto()  # the servers lack the library that does it


class Queues(msgspec.Struct, frozen=True, kw_only=True):
    """What is configured: whether queues are served, and how many runs some of them may have under way at a time.

    With ``ignore_selectors`` a ``workerSelector`` has no effect.
    """

    enabled: bool = True
    limits: Mapping[str, int] = {}
    ignore_selectors: bool = False
    workers: WorkerAccess = WorkerAccess.REACHABLE

    def sends_to_worker(self, selector: Labels) -> bool:
        """Whether a run whose DAG has this ``workerSelector`` waits for a worker."""
        return bool(selector) and self.enabled and not self.ignore_selectors

    def limit(self, entry: Entry) -> int | None:
        """Tell how many runs may be under way in the queue of an entry; None for any number.

        The number of a configured queue counts whatever its DAGs say; any other queue has that of the DAG, at least 1.
        """
        if entry.queue in self.limits:
            return self.limits[entry.queue]
        return None if entry.max_active_runs < 0 else max(entry.max_active_runs, 1)


class Holder(msgspec.Struct, frozen=True):
    """A run that holds a place, and since when; not known while its first step has not begun."""

    dag_name: str
    run_id: str
    since: datetime | None = None


class Pause(msgspec.Struct, frozen=True):
    """Since when a queue is paused, and by whom."""

    since: datetime
    actor: str | None = None


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on around those that wait in one queue.

    ``live`` counts the runs under way, of which ``holders`` names the first. ``workers`` has the labels of the workers
    that are alive; None where no run that waits asks for one.
    """

    live: int = 0
    holders: Sequence[Holder] = ()
    pause: Pause | None = None
    workers: Sequence[Labels] | None = None


class Cause(StrEnum):
    """What a run waits for."""

    OFF = "queuesOff"
    PAUSED = "paused"
    LIMIT = "limit"
    WORKER = "noWorker"
    TURN = "turn"  # nothing but the moment until it is begun


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run waits: how many go before it, and what the first of them, or else it, waits for."""

    cause: Cause
    queue: str
    before: int = 0
    limit: int | None = None
    is_limit_of_queue: bool = False  # else it is the maxActiveRuns of the DAG
    live: int = 0
    holders: Sequence[Holder] = ()
    pause: Pause | None = None
    selector: Labels = {}
    worker_access: WorkerAccess = WorkerAccess.REACHABLE

    @property
    def text(self) -> str:
        """Say it in a sentence."""
        if not self.before:
            return self._cause
        before = f"{self.before} before it in queue {self.queue!r}"
        return f"{before}, whose turn has come" if self.cause is Cause.TURN else f"{before}; {self._cause}"

    @property
    def _cause(self) -> str:
        match self.cause:
            case Cause.OFF:
                return "queues are switched off (queues_enabled)"
            case Cause.PAUSED:
                return f"queue {self.queue!r} is paused{_told(self.pause)}"
            case Cause.LIMIT:
                whose = "the limit of the queue" if self.is_limit_of_queue else "maxActiveRuns of the DAG"
                taken = f"queue {self.queue!r} has {self.live} of at most {self.limit} runs under way ({whose})"
                return taken + _named(self.holders, self.live)
            case Cause.WORKER:
                return _missing(self.selector, self.worker_access)
            case Cause.TURN:
                return "its turn has come"
            case _:
                assert_never(self.cause)


class Admission(msgspec.Struct, frozen=True):
    """The runs that may go, in the order of their turns, and why each of the others waits."""

    released: tuple[int, ...]
    waiting: Mapping[int, Wait]


def admit(entries: Sequence[Entry], scenes: Mapping[str, Scene], queues: Queues) -> Admission:
    """Say who may go now; ``entries`` come in the order in which they are served, ``scenes`` by queue.

    A queue is served strictly in order: one that has to wait holds up all behind it.
    """
    released: list[int] = []
    waiting: dict[int, Wait] = {}
    now = dict(scenes)
    heads: dict[str, Wait] = {}
    for entry in entries:
        scene = now.get(entry.queue, Scene())
        wait = heads.get(entry.queue) or wait_of(entry, scene, queues)
        if wait is None:
            released.append(entry.run)
            now[entry.queue] = msgspec.structs.replace(scene, live=scene.live + 1)
        else:
            waiting[entry.run] = wait
            heads[entry.queue] = behind(wait, wait.before + 1)
    return Admission(tuple(released), waiting)


def wait_of(entry: Entry, scene: Scene, queues: Queues) -> Wait | None:
    """Say why an entry has to wait although nobody is before it; None when it need not."""
    if not queues.enabled:
        return Wait(cause=Cause.OFF, queue=entry.queue)
    if scene.pause is not None:
        return Wait(cause=Cause.PAUSED, queue=entry.queue, pause=scene.pause)
    limit = queues.limit(entry)
    if limit is not None and scene.live >= limit:
        return Wait(
            cause=Cause.LIMIT,
            queue=entry.queue,
            limit=limit,
            is_limit_of_queue=entry.queue in queues.limits,
            live=scene.live,
            holders=scene.holders,
        )
    if queues.ignore_selectors or not entry.selector or scene.workers is None:
        return None
    is_reachable = queues.workers is WorkerAccess.REACHABLE
    if is_reachable and any(fits(entry.selector, own) for own in scene.workers):
        return None
    return Wait(cause=Cause.WORKER, queue=entry.queue, selector=entry.selector, worker_access=queues.workers)


def fits(selector: Labels, labels: Labels) -> bool:
    """Whether a worker has all the labels that are asked for."""
    return all(labels.get(name) == value for name, value in selector.items())


def behind(head: Wait, before: int) -> Wait:
    """Say why a run waits that has so many before it, of which the first waits as ``head`` says."""
    return msgspec.structs.replace(head, before=before)


def turn(queue: str) -> Wait:
    """Say of a run that it may go, and has not yet."""
    return Wait(cause=Cause.TURN, queue=queue)


def _missing(selector: Labels, access: WorkerAccess) -> str:
    pairs = [f"{name}={value}" for name, value in sorted(selector.items())]
    missing = f"no worker has the labels {', '.join(pairs)}"
    start = shlex.join(["dagbook", "worker", *(f"--label={pair}" for pair in pairs)])
    match access:
        case WorkerAccess.REACHABLE:
            return missing
        case WorkerAccess.SQLITE:
            return (
                f"{missing}: workers need a PostgreSQL database, this is SQLite; set database_url and start `{start}`, "
                "or set ignore_worker_selector to have such runs driven here"
            )
        case WorkerAccess.NO_EXTRA:
            return (
                "the servers cannot hand it to a worker, because they lack the extra distributed; "
                "pip install 'dagbook[distributed]' where dagbook serve runs"
            )


def _told(pause: Pause | None) -> str:
    if pause is None:
        return ""
    return f" since {_moment(pause.since)}" + (f" by {pause.actor}" if pause.actor else "")


def _named(holders: Sequence[Holder], live: int) -> str:
    named = [
        f"{one.dag_name}/{one.run_id}" + (f" since {_moment(one.since)}" if one.since else "")
        for one in holders[:_MOST_NAMED]
    ]
    more = [f"{live - len(named)} more"] if named and live > len(named) else []
    return f": {', '.join([*named, *more])}" if named else ""


def _moment(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
