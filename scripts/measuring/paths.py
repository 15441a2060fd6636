#!/usr/bin/env python3
"""Count the files of the package that a start of a run, the end of its step, and the list of DAGs pass.

    scripts/measuring/paths.py [--verbose]     --verbose: name them, each with the number of its functions

They are counted in the main thread of a server of its own, on SQLite. What an idle server passes meanwhile does not
count; of two measurements the smaller one does, since the other one may have met a tick of the scheduler. The text of
the run was read before. Fails when a path is longer than its limit in scripts/measure.py.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app"), str(ROOT)]

from scripts.measure import Found, Report  # noqa: E402 # after the path

PACKAGE = f"{ROOT / 'app' / 'dagbook'}/"
_DAGS = 20
_PATIENCE_SECONDS = 30.0
_IDLE_SECONDS = 4.5  # longer than the time between two heartbeats
_SETTLE_SECONDS = 0.8  # what follows an answer, or the end of a process
Trace = frozenset[tuple[str, str]]


class Traced:
    """A server that says which functions of the package it enters between two signals."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._result = folder / "trace.json"
        self._begun, self._end = folder / "begun", folder / "end"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._base = f"http://127.0.0.1:{port}/api/v2"
        environ = {**os.environ, "DAGBOOK_HOME": str(folder / "home")}
        with (folder / "log").open("w") as log:
            command = [sys.executable, __file__, "--serve", str(port), "--trace", str(self._result)]
            self._process = subprocess.Popen(
                command, env=environ, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        _wait("the server", self._is_up)

    def _is_up(self) -> bool:
        try:
            self.call("GET", "/health")
        except OSError:
            return False
        return True

    def call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._base + path, method=method, data=data, headers=headers)  # noqa: S310 # its own server
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310
            return json.load(answer)

    def start_run(self) -> None:
        """Start a run whose step waits for ``end_step``, and wait for the step."""
        for file in (self._begun, self._end):
            file.unlink(missing_ok=True)
        command = f"touch {self._begun}; while [ ! -e {self._end} ]; do sleep 0.02; done"
        self.call("POST", "/dag-runs", {"name": "traced", "spec": json.dumps({"steps": [{"command": command}]})})
        _wait("the step", self._begun.exists)

    def end_step(self) -> None:
        self._end.touch()

    def list_dags(self) -> None:
        self.call("GET", "/dags?perPage=50")

    def trace(self, act: Callable[[], None], seconds: float = _SETTLE_SECONDS) -> Trace:
        """Return what the server enters while something is done, and for some seconds after it."""
        self._result.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        time.sleep(0.05)
        act()
        time.sleep(seconds)
        self._process.send_signal(signal.SIGUSR2)
        _wait("the trace", self._result.exists)
        return frozenset((file, function) for file, function in json.loads(self._result.read_text(encoding="utf-8")))

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE_SECONDS)


@contextmanager
def traced_server() -> Iterator[Traced]:
    """Start a server with some DAGs, that has started a run before."""
    with tempfile.TemporaryDirectory(prefix="dagbook-paths-") as folder:
        server = Traced(Path(folder))
        try:
            for number in range(_DAGS):
                server.call("POST", "/dags", {"name": f"d{number}", "spec": "steps:\n  - echo\n"})
            server.start_run()
            server.end_step()
            server.list_dags()
            time.sleep(_SETTLE_SECONDS)
            yield server
        finally:
            server.stop()


def measure() -> dict[str, Trace]:
    """Return what each path passes."""
    with traced_server() as server:
        idle = server.trace(lambda: None, _IDLE_SECONDS)
        acts = {"a start": server.start_run, "the end of a step": server.end_step, "a list of DAGs": server.list_dags}
        rounds = [{what: server.trace(act) - idle for what, act in acts.items()} for _ in range(2)]
    return {what: min((found[what] for found in rounds), key=_count_files) for what in acts}


def _count_files(found: Trace) -> int:
    return len({file for file, _ in found})


def main(*, verbose: bool) -> bool:
    """Print the number of files of each path; tells whether all limits are kept."""
    report = Report()
    for what, found in measure().items():
        files = Counter(file for file, _ in found)
        places = [Found(f"{file}: {functions}") for file, functions in sorted(files.items())]
        report.count(f"files that {what} passes", places)
        print(f"  {len(found)} functions")
        for place in places if verbose else []:
            print(f"    {place.place}")
    return report.kept


def serve(port: str, result: Path) -> None:
    """Serve, and write the functions that are entered between SIGUSR1 and SIGUSR2 to a file."""
    entered: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE):
            entered.add((code.co_filename.removeprefix(PACKAGE), code.co_qualname))

    def begin(*_: object) -> None:
        entered.clear()
        sys.setprofile(note)

    def end(*_: object) -> None:
        sys.setprofile(None)
        part = result.with_suffix(".part")
        part.write_text(json.dumps(sorted(entered)), encoding="utf-8")
        part.replace(result)

    signal.signal(signal.SIGUSR1, begin)
    signal.signal(signal.SIGUSR2, end)
    sys.argv = ["dagbook", "serve", "--port", port]
    from dagbook.cli import main as dagbook  # noqa: PLC0415 - only this process needs it

    dagbook()


def _wait(what: str, is_there: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_there():
        if time.monotonic() > until:
            sys.exit(f"scripts/measuring/paths.py: {what} is not there after {_PATIENCE_SECONDS:g} s")
        time.sleep(0.02)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--serve", metavar="PORT", help=argparse.SUPPRESS)
    parser.add_argument("--trace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.trace)
    else:
        sys.exit(0 if main(verbose=options.verbose) else 1)
