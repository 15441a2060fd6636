"""Servers in PID namespaces of their own, as in containers: when the first process ends, the kernel ends the others."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dagbook.unix.proc import identify
from tests.process.server import Server
from tests.process.waiting import wait_for

_NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
_NAMED = ["--uts", "sh", "-c", 'hostname "$0" && exec "$@"']
_OUTLIVED = ["sh", "-c", '"$@" & wait; exec sleep 60', "sh"]


def may_have_namespaces() -> bool:
    """Whether a process may be started in a PID namespace of its own here."""
    try:
        return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class NamespaceServer(Server):
    """``dagbook serve`` as the first process of its PID namespace, with its own host name if ``host`` is given.

    With ``outlived`` the first process is another one, which goes on after the end of the server, as do the steps.
    """

    def __init__(
        self,
        home: Path,
        database_url: str,
        *,
        log: Path | None = None,
        host: str = "",
        outlived: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, database_url, log=log, settings=settings)
        self._outlived = outlived
        self._prefix = [*_NAMESPACE, *([*_NAMED, host] if host else []), *(_OUTLIVED if outlived else [])]

    def _command(self) -> list[str]:
        return [*self._prefix, *super()._command()]

    @property
    def pid(self) -> int:
        """The process id of the server outside of its namespace."""
        first = _child(self._running().pid)
        return _child(first) if self._outlived else first

    def end(self, how: int, seconds: float = 20) -> int:
        """End the server by a signal and return the exit status of its namespace; -1 while the namespace goes on."""
        pid = self.pid
        os.kill(pid, how)
        self._close_client()
        wait_for("the end of the server", lambda: identify(pid) is None, seconds=seconds)
        return -1 if self._outlived else self._wait(seconds)

    def crash(self) -> None:
        """Kill all processes of the namespace."""
        if self._running().poll() is None:
            os.kill(_child(self._running().pid), signal.SIGKILL)
        self._running().wait()


def _child(pid: int) -> int:
    return int(wait_for("a child", Path(f"/proc/{pid}/task/{pid}/children").read_text).split()[0])
