"""The real server as a process of its own, and its API as a client sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from app.executors.blanks import is_blank
from app.executors.process import is_claim
from tests.process import processes
from tests.process.waiting import wait_for

ROOT = Path(__file__).parent.parent.parent
FINAL = frozenset({"failed", "aborted", "succeeded", "partially_succeeded"})
_READY = "Dagbook serves "


class Api:
    """What the tests ask of a server."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=f"{address}/api/v2", timeout=45)

    def post_run(self, spec: str, *, name: str = "flow", run_id: str = "") -> httpx.Response:
        return self.client.post("/dag-runs", json={"name": name, "spec": spec, "dagRunId": run_id})

    def start(self, spec: str, *, name: str = "flow", run_id: str = "") -> str:
        """Start a run of a text and return its id."""
        answer = self.post_run(spec, name=name, run_id=run_id)
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["dagRunId"])

    def run(self, run_id: str, *, name: str = "flow") -> dict[str, Any]:
        answer = self.client.get(f"/dag-runs/{name}/{run_id}")
        assert answer.status_code == httpx.codes.OK, answer.text
        details: dict[str, Any] = answer.json()["dagRunDetails"]
        return details

    def stop(self, run_id: str, *, name: str = "flow") -> None:
        answer = self.client.post(f"/dag-runs/{name}/{run_id}/stop")
        assert answer.status_code == httpx.codes.OK, answer.text

    def log(self, run_id: str, step: str, *, name: str = "flow", **query: str | int) -> str:
        answer = self.client.get(f"/dag-runs/{name}/{run_id}/steps/{step}/log", params=query)
        assert answer.status_code == httpx.codes.OK, answer.text
        return str(answer.json()["content"])

    def health(self) -> int:
        return self.client.get("/health").status_code

    def ended(self, run_id: str, *, name: str = "flow", seconds: float = 15) -> dict[str, Any]:
        """Wait for the end of a run and return it."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id, name=name)
            return run if run["statusLabel"] in FINAL else None

        return wait_for(f"the end of run {run_id}", look, seconds=seconds)


def node(run: dict[str, Any], step: str) -> dict[str, Any]:
    """Return a step of a run as the API shows it."""
    found: dict[str, Any] = next(node for node in run["nodes"] if node["step"]["name"] == step)
    return found


class Program:
    """``python -m app serve`` with a home and a database, started and ended as a test wants it."""

    def __init__(
        self,
        home: Path,
        database_url: str = "",
        *,
        log: Path | None = None,
        schedules: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self._settings = {f"DAGBOOK_{name.upper()}": value for name, value in (settings or {}).items()}
        self.database_url = database_url or f"sqlite:///{home}/dagbook.sqlite3"
        self._schedules = schedules
        self.output = log or home.with_name(f"{home.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @property
    def api(self) -> Api:
        assert self._api is not None
        return self._api

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Program:
        """Start and wait until it answers."""
        begin = self.launch()
        address = wait_for("the server's address", lambda: self._address(begin), seconds=30)
        self._api = Api(address)
        wait_for("an answer of the server", self._answers, seconds=10)
        return self

    def launch(self) -> int:
        """Start without waiting for anything; returns where in the output the new server begins."""
        begin = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return begin

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "app", "serve"]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DAGBOOK_")}
        own |= {"DAGBOOK_HOME": str(self.home), "DAGBOOK_DATABASE_URL": self.database_url, "DAGBOOK_PORT": "0"}
        own |= {"SHELL": "/bin/sh", "DAGBOOK_SCHEDULER_ENABLED": str(self._schedules).lower()}
        return own | self._settings

    def _address(self, begin: int) -> str | None:
        assert self._process is not None
        told = self.output.read_bytes()[begin:].decode(errors="replace")
        assert self._process.poll() is None, f"the server ended:\n{told}"
        lines = (line for line in told.splitlines() if line.startswith(_READY))
        return next((line.removeprefix(_READY).split(" ")[0] for line in lines), None)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.api.health() == httpx.codes.OK
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server, and to the server only."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End the server as a crash would; harmless when it has ended."""
        if self._process is not None:
            self.crash()
        self._close_client()

    def crash(self) -> None:
        """End the server while others still use its client."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def end(self, how: int, seconds: float = 20) -> int:
        """End the server by a signal and return its exit status."""
        assert self._process is not None
        self._process.send_signal(how)
        self._close_client()
        return self._process.wait(seconds)

    def leave(self, seconds: float = 40) -> int:
        """Ask the server to end in order while others still use its client, and return its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def terminate(self) -> int:
        """Ask the server to end in order, and return its exit status."""
        return self.end(signal.SIGTERM)

    def _close_client(self) -> None:
        if self._api is not None:
            self._api.client.close()
            self._api = None

    def shims(self) -> list[int]:
        """Return the processes that stand before its steps, those left by servers before it included."""
        return [pid for pid in processes.with_argument(f"{self.home}/spool") if processes.is_shim(pid)]

    def spooled(self) -> list[Path]:
        """Return the files of runs in its spool, without the claims, which stay for a day."""
        return [path for path in (self.home / "spool").iterdir() if not is_claim(path) and not is_blank(path)]

    def told(self) -> str:
        """Return all that this server and those before it have logged."""
        return self.output.read_text(errors="replace")
