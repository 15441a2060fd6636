"""Whether an open attempt may be taken over, and where what its steps left behind is to be found.

House design section 7, recovery. What decides: whether the owner is known to have stopped (its process, its lease,
its hold of a SQLite file), and whether this server sees the same processes and the same spool.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.engine.admission import fits
from dagbook.executors.process import proc
from dagbook.executors.process.proc import ProcessId
from dagbook.runs.output.spool_identity import read_id
from dagbook.runs.server_context import ServerIdentity
from dagbook.runs.store.claimed_run import AttemptOrigin, SpoolMatch

_RESTARTED = "the machine was restarted while the step ran"
_LOST_MACHINE = "the machine that ran the step is lost"
_HEAD_START = timedelta(seconds=15)
_ACCEPTING = timedelta(seconds=10)  # a run that was accepted just now is about to get its driver


class Loss(msgspec.Struct, frozen=True):
    """Why an attempt may be taken over; with ``if_silent`` only once no process writes to its steps' files."""

    reason: str
    if_silent: bool = False


class _HostRelation(enum.Enum):
    """Where the owner of an attempt is, seen from this server."""

    HERE = enum.auto()  # its processes and their files can be seen
    OTHER_NAMESPACE = enum.auto()  # its files can be seen, its processes cannot
    REPLACED = enum.auto()  # this machine and a container of the same name, but another spool
    RESTARTED = enum.auto()  # this machine, or one of its name, before it was started
    AWAY = enum.auto()


def loss_of(attempt: OpenAttempt, me: ServerIdentity, now: datetime, grace: timedelta, *, sole: bool) -> Loss | None:
    """Tell why an attempt may be taken over; None while its owner may live. Looks at /proc and at the owner's spool.

    ``sole``: the database belongs to this process alone (a SQLite file), so every other owner has stopped.
    """
    if attempt.owner is None or attempt.owner_pid is None:
        return Loss("no owner") if me.labels is None else None
    if attempt.owner == me.id:
        return Loss("it has no runner here") if attempt.opened_at + _ACCEPTING < now else None
    if sole:
        return Loss("its owner has given up the database file")
    return _loss_of_another(attempt, me, now, grace)


def _loss_of_another(attempt: OpenAttempt, me: ServerIdentity, now: datetime, grace: timedelta) -> Loss | None:
    expired = attempt.lease_until is None or attempt.lease_until < now
    stopped = attempt.stopped_at is not None
    match _host_relation(attempt, me):
        case _HostRelation.HERE:
            lost, loss = stopped or not _is_alive(attempt), Loss("owner process gone")
        case _HostRelation.OTHER_NAMESPACE:
            # Once the lease is over, this server follows what still writes to the steps' files.
            lost, loss = stopped or expired, Loss("owner in another PID namespace is gone", if_silent=not expired)
        case _HostRelation.REPLACED:
            lost, loss = expired or _ends(attempt, me) + grace < now, Loss("owner in another container is lost")
        case _HostRelation.RESTARTED:
            lost, loss = stopped or expired, Loss("machine restarted")
        case _HostRelation.AWAY:
            return _loss_away(attempt, me, now, grace)
    return loss if lost else None


def _is_alive(attempt: OpenAttempt) -> bool:
    return proc.is_alive(ProcessId(attempt.owner_pid or 0, attempt.owner_pid_started or 0))


def _host_relation(attempt: OpenAttempt, me: ServerIdentity) -> _HostRelation:
    same_host = attempt.owner_host == me.host
    if attempt.owner_boot_id != me.boot_id:
        return _HostRelation.RESTARTED if same_host else _HostRelation.AWAY
    spool = spool_match(attempt, me)
    if attempt.owner_pid_namespace != me.pid_namespace:
        if spool is SpoolMatch.OWN:
            return _HostRelation.OTHER_NAMESPACE
        return _HostRelation.REPLACED if same_host else _HostRelation.AWAY
    if spool is SpoolMatch.OTHER and _is_spool(attempt):
        return (
            _HostRelation.AWAY
        )  # of a server with a home of its own, which finds what its steps leave when it comes back
    return _HostRelation.HERE if same_host or spool is SpoolMatch.OWN else _HostRelation.AWAY


def _is_spool(attempt: OpenAttempt) -> bool:
    return bool(attempt.owner_spool_dir) and read_id(Path(attempt.owner_spool_dir or "")) == attempt.owner_spool_id


def spool_match(attempt: OpenAttempt, me: ServerIdentity) -> SpoolMatch:
    """Tell whether an attempt's owner wrote to this server's spool."""
    if attempt.owner in (None, me.id):
        return SpoolMatch.OWN
    if attempt.owner_spool_id is None or me.spool_id is None:
        return SpoolMatch.UNKNOWN
    return SpoolMatch.OWN if attempt.owner_spool_id == me.spool_id else SpoolMatch.OTHER


def origin_of(attempt: OpenAttempt, me: ServerIdentity) -> AttemptOrigin:
    """Tell where executions of an attempt began, as far as that decides what can be known of them."""
    spool, reason = spool_match(attempt, me), ""
    restarted = attempt.owner_boot_id not in (None, me.boot_id)
    if attempt.owner_host not in (None, me.host) and (restarted or spool is SpoolMatch.OTHER):
        reason = _LOST_MACHINE
    elif restarted:
        reason = _RESTARTED
    if reason:
        return AttemptOrigin(spool=spool, processes_gone=reason)
    return AttemptOrigin(spool=spool, other_namespace=attempt.owner_pid_namespace not in (None, me.pid_namespace))


def _loss_away(attempt: OpenAttempt, me: ServerIdentity, now: datetime, grace: timedelta) -> Loss | None:
    """Tell why the run of another machine may be taken over.

    What a worker drove is for a worker that has all its labels, so that what is left of the run has what it asked for;
    a server takes it when there is none. What a server drove is for servers.
    """
    if attempt.owner_labels is None:
        waits = grace if me.labels is None else None
    elif me.labels is None:
        waits = grace + _HEAD_START
    else:
        waits = grace if fits(attempt.owner_labels, me.labels) else None
    if waits is None:
        return None
    return Loss("owner on another machine is lost") if _ends(attempt, me) + waits < now else None


def _ends(attempt: OpenAttempt, me: ServerIdentity) -> datetime:
    """Tell from when on the owner counts as lost.

    A stop lengthens the lease for steps that go on without their server. On the same boot of a machine it is not waited
    for: a server that could go on with them has their spool, and takes the run over at once.
    """
    lease = attempt.lease_until or attempt.opened_at
    if attempt.stopped_at is not None and attempt.owner_boot_id == me.boot_id:
        return min(attempt.stopped_at, lease)
    return lease
