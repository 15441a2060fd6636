"""The real server as a process of its own, and its API as a client sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from dagbook.executors.process.process import is_claim
from dagbook.runs.output.spool_identity import is_identity
from tests.process import processes
from tests.process.waiting import wait_for

FINAL = frozenset({"failed", "aborted", "succeeded", "partially_succeeded"})
_READY = "Dagbook serves "
_CLIENT_SECONDS = 45.0


class ServerError(Exception):
    """A server or worker does not start, answer or end as it should."""


class Api:
    """The API of a server, as a client sees it."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=f"{address}/api/v2", timeout=_CLIENT_SECONDS)

    def post_run(self, spec: str, *, name: str = "flow", run_id: str = "") -> httpx.Response:
        """Ask for a run of a definition."""
        return self.client.post("/dag-runs", json={"name": name, "spec": spec, "dagRunId": run_id})

    def start(self, spec: str, *, name: str = "flow", run_id: str = "") -> str:
        """Start a run of a definition and return its id."""
        return str(_body(self.post_run(spec, name=name, run_id=run_id))["dagRunId"])

    def store(self, name: str, spec: str) -> None:
        """Store a DAG."""
        _check(self.client.post("/dags", json={"name": name, "spec": spec}))

    def run(self, run_id: str, *, name: str = "flow") -> dict[str, Any]:
        """Return a run with its nodes."""
        details: dict[str, Any] = _body(self.client.get(f"/dag-runs/{name}/{run_id}"))["dagRunDetails"]
        return details

    def log(self, run_id: str, step: str, *, name: str = "flow", **query: str | int) -> str:
        """Return the output of a step."""
        path = f"/dag-runs/{name}/{run_id}/steps/{step}/log"
        return str(_body(self.client.get(path, params=query))["content"])

    def health(self) -> int:
        """Return the HTTP status of ``/health``."""
        return self.client.get("/health").status_code

    def stop(self, run_id: str, *, name: str = "flow") -> None:
        """Ask a run to stop."""
        _check(self.client.post(f"/dag-runs/{name}/{run_id}/stop"))

    def ended(self, run_id: str, *, name: str = "flow", seconds: float = 90) -> dict[str, Any]:
        """Wait for the end of a run and return it."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id, name=name)
            return run if run["statusLabel"] in FINAL else None

        return wait_for(f"the end of run {run_id}", look, seconds=seconds)


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise ServerError(f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text}")


def _body(answer: httpx.Response) -> dict[str, Any]:
    _check(answer)
    body: dict[str, Any] = answer.json()
    return body


class Server:
    """``dagbook serve`` with a home and a database of its own.

    ``log`` takes its stdout and stderr; it is beside the home by default. ``DAGBOOK_…`` variables of this process are
    not passed on.
    """

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
        self.schedules = schedules
        self.output = log or home.with_name(f"{home.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @property
    def api(self) -> Api:
        """Its API, while it runs."""
        if self._api is None:
            raise ServerError("the server was not started")
        return self._api

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._running().pid

    def is_alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError("the server was not started")
        return self._process

    def start(self) -> Self:
        """Start and wait until it answers."""
        begin = self.launch()
        address = wait_for("the server's address", lambda: self._address(begin), seconds=60)
        self._api = Api(address)
        wait_for("an answer of the server", self._answers, seconds=30)
        return self

    def launch(self) -> int:
        """Start without waiting; returns the offset in the log at which the output of the new server begins."""
        begin = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.output.parent,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return begin

    def _command(self) -> list[str]:
        return self._program("serve")

    def _program(self, *words: str) -> list[str]:
        # -P: no module is imported from the working directory.
        return [sys.executable, "-P", "-m", "dagbook", *words]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DAGBOOK_")}
        own |= {"DAGBOOK_HOME": str(self.home), "DAGBOOK_DATABASE_URL": self.database_url, "DAGBOOK_PORT": "0"}
        own |= {"SHELL": "/bin/sh", "DAGBOOK_SCHEDULER_ENABLED": str(self.schedules).lower()}
        return own | self._settings

    def command(self, *words: str, seconds: float = 300) -> str:
        """Run another command with this home and database, and return what it prints. Raises ServerError."""
        done = subprocess.run(
            self._program(*words), env=self._environment(), capture_output=True, text=True, timeout=seconds, check=False
        )
        if done.returncode:
            raise ServerError(f"dagbook {' '.join(words)} failed: {done.stderr}")
        return done.stdout

    def _lines_since(self, begin: int) -> list[str]:
        """Return the lines of the log from an offset. Raises ServerError when the server has ended."""
        text = self.output.read_bytes()[begin:].decode(errors="replace")
        if self._running().poll() is not None:
            raise ServerError(f"a server ended by itself; its output:\n{text}")
        return text.splitlines()

    def _address(self, begin: int) -> str | None:
        lines = (line for line in self._lines_since(begin) if line.startswith(_READY))
        return next((line.removeprefix(_READY).split(" ")[0] for line in lines), None)

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return self.api.health() == httpx.codes.OK
        return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server alone, not to its steps."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the server; harmless when it has ended."""
        if self._process is not None:
            self.crash()
        self._close_client()

    def crash(self) -> None:
        """Kill the server while other threads still use its client."""
        self._running().kill()
        self._running().wait()

    def end(self, how: int, seconds: float = 20) -> int:
        """End the server by a signal and return its exit status."""
        self._running().send_signal(how)
        self._close_client()
        return self._wait(seconds)

    def shutdown(self, seconds: float = 40) -> int:
        """Shut the server down while other threads still use its client, and return its exit status."""
        self._running().send_signal(signal.SIGTERM)
        return self._wait(seconds)

    def terminate(self) -> int:
        """Shut the server down, and return its exit status."""
        return self.end(signal.SIGTERM)

    def _wait(self, seconds: float) -> int:
        try:
            return self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            raise ServerError(f"a server did not end within {seconds:g} seconds") from None

    def _close_client(self) -> None:
        if self._api is not None:
            self._api.client.close()
            self._api = None

    def spooled(self) -> list[Path]:
        """Return the files of runs in its spool, without the claims, which stay for a day."""
        return [path for path in (self.home / "spool").iterdir() if not (is_claim(path) or is_identity(path))]

    def log_text(self) -> str:
        """Return the log of this server and of those before it with the same home."""
        return self.output.read_text(errors="replace")

    def clear(self) -> None:
        """Kill the server and its steps."""
        self.kill()
        processes.kill_sessions(str(self.home / "spool"))


class Worker(Server):
    """``dagbook worker``, started once it prints that it works; ``words`` are its options."""

    def __init__(
        self,
        home: Path,
        database_url: str,
        words: Iterable[str],
        *,
        log: Path,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(home, database_url, log=log, settings=settings)
        self._words = tuple(words)

    def start(self) -> Self:
        """Start and wait until it prints that it works."""
        begin = self.launch()
        wait_for("the worker", lambda: self._works(begin), seconds=60)
        return self

    def _command(self) -> list[str]:
        return self._program("worker", *self._words)

    def _works(self, begin: int) -> bool:
        return any(line.startswith("Worker ") for line in self._lines_since(begin))


@contextlib.contextmanager
def all_running(servers: Sequence[Server]) -> Iterator[None]:
    """Start servers; kill them and their steps in the end. Raises ServerError."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.clear()
