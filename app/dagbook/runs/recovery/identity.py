"""Identity of this process, by which others know its runs and whether it lives."""

from __future__ import annotations

import os
import socket

from dagbook.executors.process import proc
from dagbook.runs.server_context import ServerIdentity


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
