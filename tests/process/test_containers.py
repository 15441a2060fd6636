"""Steps in containers outlive their server, and what a run shares ends with it whoever ends it (house design 7)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.process import conftest, processes
from tests.process.program import ROOT, Program, node
from tests.process.waiting import wait_for

SCRIPT = """
echo "$$" >>{directory}/witness
echo begun
while [ ! -e {directory}/go ]; do sleep 0.02; done
echo ended
exit 3
"""

on_sqlite_only = pytest.mark.parametrize("make_url", ["sqlite"], indirect=True)  # a container knows no database


class Daemon:
    """The stand-in for the Docker daemon as a process of its own, with a step to run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "docker.sock"
        (directory / "step.sh").write_text(SCRIPT.format(directory=directory))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.executors.docker_stand_in", str(self.socket)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def spec(self, head: str, first: str, second: str = "echo after") -> str:
        return f"""
type: chain
env: [DOCKER_HOST: "unix://{self.socket}"]
{head}
steps:
  - name: first
    command: sh {self.directory}/step.sh
    continueOn: {{exitCode: 3}}
    {first}
  - name: second
    command: {second}
"""

    def begun(self) -> list[int]:
        """Give the processes that the step has had."""
        witness = self.directory / "witness"
        return [int(line) for line in witness.read_text().split()] if witness.exists() else []

    def containers(self) -> list[str]:
        """Give the states of its containers."""
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(self.socket))) as client:
            answer = client.get("http://docker/v1.43/containers/json", params={"all": "1"})
        return [container["State"] for container in answer.json()]

    def let_go(self) -> None:
        (self.directory / "go").touch()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it not answer within the block."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=10)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    running = Daemon(tmp_path)
    try:
        yield running
    finally:
        running.let_go()
        running.end()
    assert processes.with_argument(f"{tmp_path}/step.sh") == []


IN_THE_RUNS = ("container: {image: busybox}", "")
IN_ITS_OWN = ("", "executor: {type: docker, config: {image: busybox, autoRemove: true}}")


@on_sqlite_only
@pytest.mark.parametrize(
    ("how", "place", "log"),
    [(signal.SIGTERM, IN_THE_RUNS, "begun"), (signal.SIGKILL, IN_ITS_OWN, "begun\nended")],
    ids=["stopped", "killed"],
)
def test_a_step_in_a_container_goes_on_while_its_server_is_exchanged(
    program: Program, daemon: Daemon, how: signal.Signals, place: tuple[str, str], log: str
) -> None:
    run_id = program.api.start(daemon.spec(*place))
    wait_for("the step", lambda: daemon.begun() and "begun" in program.api.log(run_id, "first"))
    program.end(how)
    (pid,) = daemon.begun()
    assert processes.is_alive(pid)
    program.start()
    assert program.api.run(run_id)["statusLabel"] == "running"
    daemon.let_go()
    run = program.api.ended(run_id)
    assert (run["statusLabel"], node(run, "first")["error"].splitlines()[0]) == ("partially_succeeded", "exit status 3")
    assert [daemon.begun(), program.api.log(run_id, "first"), program.api.log(run_id, "second")] == [
        [pid],
        log,
        "after",
    ]
    wait_for("the removal of the container", lambda: not daemon.containers())


@on_sqlite_only
def test_a_server_with_a_spool_of_its_own_removes_the_container_that_another_has_started(
    program: Program, daemon: Daemon, tmp_path: Path
) -> None:
    run_id = program.api.start(daemon.spec(*IN_THE_RUNS))
    wait_for("the step", daemon.begun)
    program.kill()
    other = Program(tmp_path / "other", program.database_url).start()
    try:
        daemon.let_go()
        other.api.ended(run_id)
        wait_for("the removal of the container", lambda: not daemon.containers())
    finally:
        conftest.end(other)


@on_sqlite_only
def test_a_server_that_dies_at_the_end_of_a_run_leaves_its_container_to_the_next(
    program: Program, daemon: Daemon, tmp_path: Path
) -> None:
    last = f"while [ ! -e {tmp_path}/last ]; do sleep 0.02; done\n    executor: ''"
    run_id = program.api.start(daemon.spec(*IN_THE_RUNS, last))
    daemon.let_go()
    wait_for("the last step", lambda: node(program.api.run(run_id), "second")["statusLabel"] == "running")
    with daemon.frozen():
        (tmp_path / "last").touch()
        assert program.api.ended(run_id)["statusLabel"] == "partially_succeeded"
        program.kill()
    assert daemon.containers() == ["running"]
    program.start()
    wait_for("the removal of the container", lambda: not daemon.containers())
