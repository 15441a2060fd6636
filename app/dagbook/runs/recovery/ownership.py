"""Identity of this process, and the decision whether an open attempt of another one may be adopted.

The decision (house design section 7, recovery) depends on whether the owner, as its identity names it, is known to have
stopped (its process, its lease, its lock of a SQLite file), and on whether this server sees the same processes and the
same spool.
"""

from __future__ import annotations

import enum
import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.engine.admission import fits
from dagbook.runs.model import AttemptOrigin, SpoolMatch
from dagbook.runs.output.spool_identity import read_id
from dagbook.runs.server_context import ServerIdentity
from dagbook.unix import proc
from dagbook.unix.proc import ProcessId

_RESTARTED = "the machine was restarted while the step ran"
_LOST_MACHINE = "the machine that ran the step is lost"
_HEAD_START = timedelta(seconds=15)
_ACCEPTING = timedelta(seconds=10)  # the time between the acceptance of a run and the start of its runner


def identify(kind: str, address: str, version: str) -> ServerIdentity:
    """Make the identity of this process, from which other servers can tell whether it is alive."""
    own = proc.identify(os.getpid())
    assert own is not None  # noqa: S101 - this process is alive
    host = socket.gethostname()
    return ServerIdentity(
        id=f"{host}-{own.pid}-{own.started}-{proc.boot_id()[:8]}",
        kind=kind,
        host=host,
        boot_id=proc.boot_id(),
        pid_namespace=proc.pid_namespace(),
        pid=own.pid,
        pid_started=own.started,
        address=address,
        version=version,
    )


class Loss(msgspec.Struct, frozen=True):
    """Why an attempt may be adopted; with ``if_silent`` only once no process writes to the files of its steps."""

    reason: str
    if_silent: bool = False


class _HostRelation(enum.Enum):
    """Location of the owner of an attempt, relative to this server."""

    HERE = enum.auto()  # its processes and their files are visible
    OTHER_NAMESPACE = enum.auto()  # its files are visible, its processes are not
    REPLACED = enum.auto()  # this machine and a container of the same name, but another spool
    RESTARTED = enum.auto()  # this machine, or one of the same name, before its last boot
    AWAY = enum.auto()  # another machine


def loss_of(
    attempt: OpenAttempt, identity: ServerIdentity, now: datetime, grace: timedelta, *, sole: bool
) -> Loss | None:
    """Return why an attempt may be adopted; None while its owner may be alive. Reads /proc and the owner's spool id.

    ``sole``: this process has exclusive access to the database (a SQLite file), so every other owner has stopped.
    """
    if attempt.owner is None or attempt.owner_pid is None:
        return Loss("no owner") if identity.labels is None else None
    if attempt.owner == identity.id:
        return Loss("it has no runner here") if attempt.opened_at + _ACCEPTING < now else None
    if sole:
        return Loss("its owner has released the database file")
    return _loss_of_another(attempt, identity, now, grace)


def _loss_of_another(attempt: OpenAttempt, identity: ServerIdentity, now: datetime, grace: timedelta) -> Loss | None:
    expired = attempt.lease_until is None or attempt.lease_until < now
    stopped = attempt.stopped_at is not None
    match _host_relation(attempt, identity):
        case _HostRelation.HERE:
            process = ProcessId(attempt.owner_pid or 0, attempt.owner_pid_started or 0)
            lost, loss = stopped or not proc.is_alive(process), Loss("owner process gone")
        case _HostRelation.OTHER_NAMESPACE:
            # After the lease has expired, this server follows the processes that still write to the steps' files.
            lost, loss = stopped or expired, Loss("owner in another PID namespace is gone", if_silent=not expired)
        case _HostRelation.REPLACED:
            lost, loss = expired or _ends(attempt, identity) + grace < now, Loss("owner in another container is lost")
        case _HostRelation.RESTARTED:
            lost, loss = stopped or expired, Loss("machine restarted")
        case _HostRelation.AWAY:
            return _loss_away(attempt, identity, now, grace)
    return loss if lost else None


def _host_relation(attempt: OpenAttempt, identity: ServerIdentity) -> _HostRelation:
    same_host = attempt.owner_host == identity.host
    if attempt.owner_boot_id != identity.boot_id:
        return _HostRelation.RESTARTED if same_host else _HostRelation.AWAY
    spool = spool_match(attempt, identity)
    if attempt.owner_pid_namespace != identity.pid_namespace:
        if spool is SpoolMatch.OWN:
            return _HostRelation.OTHER_NAMESPACE
        return _HostRelation.REPLACED if same_host else _HostRelation.AWAY
    folder = attempt.owner_spool_dir
    if spool is SpoolMatch.OTHER and folder and read_id(Path(folder)) == attempt.owner_spool_id:
        return _HostRelation.AWAY  # a server with another home; after a restart it finds the files of its steps
    return _HostRelation.HERE if same_host or spool is SpoolMatch.OWN else _HostRelation.AWAY


def spool_match(attempt: OpenAttempt, identity: ServerIdentity) -> SpoolMatch:
    """Return whether the owner of an attempt wrote to the spool of this server."""
    if attempt.owner in (None, identity.id):
        return SpoolMatch.OWN
    if attempt.owner_spool_id is None or identity.spool_id is None:
        return SpoolMatch.UNKNOWN
    return SpoolMatch.OWN if attempt.owner_spool_id == identity.spool_id else SpoolMatch.OTHER


def origin_of(attempt: OpenAttempt, identity: ServerIdentity) -> AttemptOrigin:
    """Return the origin of the executions of an attempt, as far as it decides what this server can find out."""
    spool, reason = spool_match(attempt, identity), ""
    restarted = attempt.owner_boot_id not in (None, identity.boot_id)
    if attempt.owner_host not in (None, identity.host) and (restarted or spool is SpoolMatch.OTHER):
        reason = _LOST_MACHINE
    elif restarted:
        reason = _RESTARTED
    if reason:
        return AttemptOrigin(spool=spool, processes_gone=reason)
    return AttemptOrigin(spool=spool, other_namespace=attempt.owner_pid_namespace not in (None, identity.pid_namespace))


def _loss_away(attempt: OpenAttempt, identity: ServerIdentity, now: datetime, grace: timedelta) -> Loss | None:
    """Return why the run of another machine may be adopted.

    The run of a worker goes to a worker with all its labels, so that its remaining steps have what its selector asked
    for; without one a server adopts it, 15 s later. The run of a server goes to servers only.
    """
    if attempt.owner_labels is None:
        delay = grace if identity.labels is None else None
    elif identity.labels is None:
        delay = grace + _HEAD_START
    else:
        delay = grace if fits(attempt.owner_labels, identity.labels) else None
    if delay is None:
        return None
    return Loss("owner on another machine is lost") if _ends(attempt, identity) + delay < now else None


def _ends(attempt: OpenAttempt, identity: ServerIdentity) -> datetime:
    """Return the instant at which the owner counts as lost.

    A stop extends the lease, for the steps that continue without their server. On the same boot of a machine that
    extension does not count: a server that could continue them has their spool and adopts the run at once.
    """
    lease = attempt.lease_until or attempt.opened_at
    if attempt.stopped_at is not None and attempt.owner_boot_id == identity.boot_id:
        return min(attempt.stopped_at, lease)
    return lease
