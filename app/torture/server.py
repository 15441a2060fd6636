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

from app.executors.blanks import is_blank
from app.executors.process import is_claim
from app.runs.spool_identity import is_identity
from app.torture import processes
from app.torture.trial import Ground, TortureError
from app.torture.waiting import wait_for

FINAL = frozenset({"failed", "aborted", "succeeded", "partially_succeeded"})
_READY = "Dagbook serves "
_CLIENT_SECONDS = 45.0


class Api:
    """What is asked of a server."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=f"{address}/api/v2", timeout=_CLIENT_SECONDS)

    def post_run(self, spec: str, *, name: str = "flow", run_id: str = "") -> httpx.Response:
        """Ask for a run of a text."""
        return self.client.post("/dag-runs", json={"name": name, "spec": spec, "dagRunId": run_id})

    def start(self, spec: str, *, name: str = "flow", run_id: str = "") -> str:
        """Start a run of a text and return its id."""
        return str(_body(self.post_run(spec, name=name, run_id=run_id))["dagRunId"])

    def store(self, name: str, spec: str) -> None:
        """Store a DAG."""
        _check(self.client.post("/dags", json={"name": name, "spec": spec}))

    def run(self, run_id: str, *, name: str = "flow") -> dict[str, Any]:
        """Give a run with its nodes."""
        details: dict[str, Any] = _body(self.client.get(f"/dag-runs/{name}/{run_id}"))["dagRunDetails"]
        return details

    def log(self, run_id: str, step: str, *, name: str = "flow", **query: str | int) -> str:
        """Give the output of a step."""
        path = f"/dag-runs/{name}/{run_id}/steps/{step}/log"
        return str(_body(self.client.get(path, params=query))["content"])

    def health(self) -> int:
        """Give the status with which the server answers whether it is well."""
        return self.client.get("/health").status_code

    def stop(self, run_id: str, *, name: str = "flow") -> None:
        """Ask a run to stop."""
        _check(self.client.post(f"/dag-runs/{name}/{run_id}/stop"))

    def ended(self, run_id: str, *, name: str = "flow", seconds: float = 45) -> dict[str, Any]:
        """Wait for the end of a run and return it."""

        def look() -> dict[str, Any] | None:
            run = self.run(run_id, name=name)
            return run if run["statusLabel"] in FINAL else None

        return wait_for(f"the end of run {run_id}", look, seconds=seconds)


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise TortureError(f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text}")


def _body(answer: httpx.Response) -> dict[str, Any]:
    _check(answer)
    body: dict[str, Any] = answer.json()
    return body


class Server:
    """``dagbook serve`` with a home and a database, started and ended as its owner wants it.

    ``log`` is where it says what it says, in its home's folder unless told; of the settings of this process's own
    environment it knows nothing.
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
        self._schedules = schedules
        self.output = log or home.with_name(f"{home.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._api: Api | None = None

    @property
    def api(self) -> Api:
        """Its API, while it is started."""
        if self._api is None:
            raise TortureError("the server was not started")
        return self._api

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._running().pid

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise TortureError("the server was not started")
        return self._process

    def start(self) -> Self:
        """Start and wait until it answers."""
        begin = self.launch()
        address = wait_for("the server's address", lambda: self._address(begin), seconds=60)
        self._api = Api(address)
        wait_for("an answer of the server", self._answers, seconds=30)
        return self

    def launch(self) -> int:
        """Start without waiting for anything; returns where in the output the new server begins."""
        begin = self.output.stat().st_size if self.output.exists() else 0
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
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
        # -P: what lies in the folder where it is started is none of this program's modules.
        return [sys.executable, "-P", "-m", "app", *words]

    def _environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("DAGBOOK_")}
        own |= {"DAGBOOK_HOME": str(self.home), "DAGBOOK_DATABASE_URL": self.database_url, "DAGBOOK_PORT": "0"}
        own |= {"SHELL": "/bin/sh", "DAGBOOK_SCHEDULER_ENABLED": str(self._schedules).lower()}
        return own | self._settings

    def _told_since(self, begin: int) -> list[str]:
        """Give what it has said since it was started; raises TortureError when it has ended."""
        told = self.output.read_bytes()[begin:].decode(errors="replace")
        if self._running().poll() is not None:
            raise TortureError(f"a server ended by itself and said:\n{told}")
        return told.splitlines()

    def _address(self, begin: int) -> str | None:
        lines = (line for line in self._told_since(begin) if line.startswith(_READY))
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
        self._running().kill()
        self._running().wait()

    def end(self, how: int, seconds: float = 20) -> int:
        """End the server by a signal and return its exit status."""
        self._running().send_signal(how)
        self._close_client()
        return self._wait(seconds)

    def leave(self, seconds: float = 40) -> int:
        """Ask the server to end in order while others still use its client, and return its exit status."""
        self._running().send_signal(signal.SIGTERM)
        return self._wait(seconds)

    def terminate(self) -> int:
        """Ask the server to end in order, and return its exit status."""
        return self.end(signal.SIGTERM)

    def _wait(self, seconds: float) -> int:
        try:
            return self._running().wait(seconds)
        except subprocess.TimeoutExpired:
            raise TortureError(f"a server did not end within {seconds:g} seconds") from None

    def _close_client(self) -> None:
        if self._api is not None:
            self._api.client.close()
            self._api = None

    def spooled(self) -> list[Path]:
        """Return the files of runs in its spool, without the claims, which stay for a day."""
        return [
            path
            for path in (self.home / "spool").iterdir()
            if not (is_claim(path) or is_blank(path) or is_identity(path))
        ]

    def told(self) -> str:
        """Return all that this server and those before it have logged."""
        return self.output.read_text(errors="replace")

    def clear(self) -> None:
        """Leave neither the server nor a step of it behind."""
        self.kill()
        processes.kill_sessions(str(self.home / "spool"))


class Worker(Server):
    """``dagbook worker``, ready once it says so; ``words`` are its options."""

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
        """Start and wait until it says that it works."""
        begin = self.launch()
        wait_for("the worker", lambda: self._works(begin), seconds=60)
        return self

    def _command(self) -> list[str]:
        return self._program("worker", *self._words)

    def _works(self, begin: int) -> bool:
        return any(line.startswith("Worker ") for line in self._told_since(begin))


def make_servers(ground: Ground, count: int) -> list[Server]:
    """Give servers on one machine: with one home and one database."""
    home = ground.directory / "home"
    return [Server(home, ground.url, log=ground.directory / f"server-{number}.log") for number in range(count)]


@contextlib.contextmanager
def all_running(servers: Sequence[Server]) -> Iterator[None]:
    """Start servers, and leave nothing of them in the end. Raises TortureError."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.clear()
