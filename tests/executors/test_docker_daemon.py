"""Steps in containers of a real Docker daemon, where this machine lets one run (DAG format 2.13, 4.4; 1.30, 3.3).

The stand-in cannot tell what a real container is like: what its shell and grep can do, what the daemon says of a
command whose connection was lost, how it words a refusal. A daemon of these tests' own needs root, ``dockerd`` with
``runc``, and a static ``busybox``, of which the one image is made: nothing is pulled.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from dagbook.executors.contract import ExecutionFiles, Outcome
from dagbook.executors.in_process import InProcessExecution
from dagbook.spec.model import Container, Pair
from tests.executors.docker_scene import SH, Steps
from tests.waiting import until_written, wait_until

IMAGE = "dagbook-test/busybox:1"
OWN = {"image": IMAGE, "autoRemove": True, "host": {"networkMode": "none"}}
MINE = {"containerName": "mine"}
RUNS = Container(image=IMAGE, network="none")
_PROGRAMS = ("dockerd", "runc", "busybox")
_START_SECONDS = 20.0


class Daemon:
    """A daemon with its data in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "docker.sock"
        self.address = f"unix://{self._socket}"
        self.api = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self._socket)), base_url="http://docker/v1.43", timeout=30
        )
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [  # neither bridge nor firewall: it must not touch the machine's network
                    *("dockerd", "--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"),
                    *(f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"),
                    *("-H", self.address),
                ],
                stdout=log,
                stderr=log,
            )

    def answers(self) -> bool:
        """Whether it came up, which takes a second or two where it can run at all."""
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(str(self._socket)) == 0:
                    return self.api.get("/_ping").is_success
            time.sleep(0.05)
        return False

    def last_words(self) -> str:
        return self._log.read_text(errors="replace").strip().rpartition("\n")[2]

    def load(self, layer: bytes) -> None:
        repository, _, tag = IMAGE.partition(":")
        params = {"fromSrc": "-", "repo": repository, "tag": tag}
        self.api.post("/images/create", params=params, content=layer).raise_for_status()

    def run(self, name: str) -> None:
        """Run a container that is none of Dagbook's."""
        body = {"Image": IMAGE, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}}
        self.api.post("/containers/create", params={"name": name}, json=body).raise_for_status()
        self.api.post(f"/containers/{name}/start").raise_for_status()

    def names(self) -> list[str]:
        return [made["Names"][0] for made in self.api.get("/containers/json", params={"all": "1"}).json()]

    def remove_all(self) -> None:
        for name in self.names():
            self.api.delete(f"/containers{name}", params={"force": "1", "v": "1"})

    def end(self) -> None:
        self.api.close()
        self._process.terminate()
        self._process.wait(_START_SECONDS)


def _layer() -> bytes:
    """Make a file system of BusyBox and nothing else."""
    program = Path(str(shutil.which("busybox")))
    names = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(program.resolve(), "bin/busybox")
        for name in ("tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
            tar.addfile(folder)
        for name in set(names) - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return packed.getvalue()


@pytest.fixture(scope="module")
def one_daemon() -> Iterator[Daemon]:
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"a Docker daemon cannot be run here: it takes root, and {', '.join(_PROGRAMS)}")
    folder = Path(tempfile.mkdtemp(prefix="dk"))  # short: paths of sockets are
    daemon = Daemon(folder)
    try:
        if not daemon.answers():
            pytest.skip(f"a Docker daemon cannot run here: {daemon.last_words()}")
        daemon.load(_layer())
        yield daemon
    finally:
        daemon.end()
        mounts = [folder / "data", *(folder / "exec/netns").glob("*")]  # the daemon may leave some behind
        subprocess.run(["umount", "--quiet", "--lazy", *mounts], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder)


@pytest.fixture
def daemon(one_daemon: Daemon) -> Iterator[Daemon]:
    yield one_daemon
    one_daemon.remove_all()


@pytest.fixture
def steps(daemon: Daemon, files: ExecutionFiles) -> Steps:
    return Steps(address=daemon.address, files=files)


@pytest.fixture
def inner(daemon: Daemon, steps: Steps) -> Steps:
    """The same with a container named ``mine`` that runs."""
    daemon.run("mine")
    return steps


async def detach(running: InProcessExecution) -> None:
    running.detach()
    await running.wait()


async def until_ended(daemon: Daemon, steps: Steps) -> None:
    """Wait until the daemon shows the end of a command that no client follows."""
    instance = msgspec.json.decode(steps.files.note.read_bytes())["instance"]

    async def look() -> bool:
        return not daemon.api.get(f"/exec/{instance}/json").json()["Running"]

    await wait_until(look, every_seconds=0.05)


# -- a container of the step's own -----------------------------------------------------------------------------------


async def test_a_step_container_is_created_from_its_config(daemon: Daemon, steps: Steps, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    tmp_path.chmod(0o755)
    config = {
        **OWN,
        "container": {"env": {"A": 1}, "workingDir": "/data", "user": "1000"},
        "host": {"networkMode": "none", "binds": [f"{tmp_path}:/data:ro"], "memory": 64 * 1024**2},
    }
    outcome = await steps.end(config, *SH, "echo $A; pwd; id -u; cat file; echo err >&2; exit 9")
    assert (outcome.exit_code, steps.out, steps.err) == (9, "1\n/data\n1000\ncontent\n", "err\n")
    assert daemon.names() == []


@pytest.mark.parametrize(
    ("config", "command", "sentence"),
    [
        (OWN, "no-such-program", "the container could not be started: "),
        ({**OWN, "image": "no.such/image:1", "pull": "never"}, "true", "image 'no.such/image:1' is not here"),
        ({**OWN, "image": "127.0.0.1:1/image:1"}, "true", "image '127.0.0.1:1/image:1' could not be pulled: "),
        ({**OWN, "host": {"networkMode": "none", "binds": ["a:b:c"]}}, "true", "the container could not be created: "),
        ({**OWN, "container": {"user": "nobody-here"}}, "true", "the container could not be started: "),
    ],
    ids=["program", "image", "registry", "volume", "user"],
)
async def test_a_container_that_cannot_run_is_reported_in_one_sentence(
    daemon: Daemon, steps: Steps, config: dict[str, Any], command: str, sentence: str
) -> None:
    outcome = await steps.end(config, command)
    assert (outcome.error.startswith(sentence), "\n" in outcome.error, daemon.names()) == (True, False, [])


async def test_a_stop_reaches_a_container_of_its_own(steps: Steps) -> None:
    running = steps.begin(OWN, *SH, "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    await until_written(steps.files.stdout, "ready")
    running.signal("SIGTERM")
    assert ((await running.wait()).exit_code, steps.out) == (7, "ready\nbye\n")


async def test_the_next_server_continues_the_complete_output(daemon: Daemon, steps: Steps, tmp_path: Path) -> None:
    config = {**OWN, "host": {"networkMode": "none", "binds": [f"{tmp_path}:/data"]}}
    text = "echo early; until [ -e /data/go ]; do sleep 0.05; done; echo late; exit 3"
    first = steps.begin(config, *SH, text)
    await until_written(steps.files.stdout)
    await detach(first)
    (tmp_path / "go").touch()
    outcome = await steps.adopt().wait()
    assert (outcome.exit_code, steps.out, daemon.names()) == (3, "early\nlate\n", [])


# -- the container that a step names ---------------------------------------------------------------------------------


async def test_a_named_container_is_created_from_its_definition(daemon: Daemon, steps: Steps) -> None:
    (steps.files.directory / "file").write_text("content\n")
    container = msgspec.structs.replace(
        RUNS, name="box", env=(Pair("A", "x y"),), user="1000", working_dir="/data", volumes=("./:/data:ro",)
    )
    steps.files.directory.chmod(0o755)
    text = "echo $A; pwd; id -u; cat file; touch new; echo err >&2; exit 9"
    outcome = await steps.begin({}, *SH, text, container=container).wait()
    assert (outcome.exit_code, steps.out, daemon.names()) == (9, "x y\n/data\n1000\ncontent\n", [])
    assert "Read-only file system" in steps.err


@pytest.mark.parametrize(
    ("more", "command", "words"),
    [
        ({}, "", "no command specified"),
        ({}, "no-such-program", "executable file not found"),
        ({"name": "mine"}, "true", 'The container name "/mine" is already in use'),
        ({"working_dir": "relative"}, "true", "the container could not be created"),
    ],
    ids=["no command", "program", "name", "directory"],
)
async def test_a_named_container_that_cannot_run_is_reported_in_one_sentence(
    daemon: Daemon, inner: Steps, more: dict[str, Any], command: str, words: str
) -> None:
    outcome = await inner.begin({}, command, container=msgspec.structs.replace(RUNS, **more)).wait()
    assert (outcome.exit_code, words in outcome.error, "\n" in outcome.error) == (1, True, False), outcome
    assert daemon.names() == ["/mine"]


async def test_a_step_may_keep_its_container_which_makes_room_for_the_next_of_its_name(
    daemon: Daemon, steps: Steps
) -> None:
    container = msgspec.structs.replace(RUNS, name="box", keep_container=True)
    for _ in range(2):
        assert await steps.begin({}, "true", container=container).wait() == Outcome(exit_code=0)
        Path(steps.files.started).unlink()
    assert daemon.names() == ["/box"]


async def test_a_step_runs_in_the_container_that_it_names_once_that_runs(daemon: Daemon, steps: Steps) -> None:
    container = Container(exec="mine", user="1000", working_dir="/tmp", env=(Pair("A", "1"),))
    running = steps.begin({}, *SH, "echo $A; pwd; id -u; exit 9", container=container)
    await asyncio.sleep(0)
    daemon.run("mine")
    assert ((await running.wait()).exit_code, steps.out, daemon.names()) == (9, "1\n/tmp\n1000\n", ["/mine"])


# -- a container that runs already -----------------------------------------------------------------------------------


async def test_a_command_in_another_container_uses_the_exec_options(inner: Steps) -> None:
    options = {"user": "1000", "workingDir": "/tmp", "env": ["A=1"]}
    outcome = await inner.end({**MINE, "exec": options}, *SH, "echo $A; pwd; id -u; echo err >&2; exit 9")
    assert (outcome.exit_code, inner.out, inner.err) == (9, "1\n/tmp\n1000\n", "err\n")


async def test_a_missing_command_is_reported_with_the_daemons_message(inner: Steps) -> None:
    outcome = await inner.end(MINE, "no-such-program")
    assert (outcome.exit_code, outcome.error.partition(":")[0]) == (
        126,
        "the command could not be started in the container",
    )


@pytest.mark.parametrize(
    ("ask", "code"),
    [(lambda running: running.signal("SIGTERM"), 143), (lambda running: running.kill(), 137)],
    ids=["stop", "kill"],
)
async def test_the_end_that_is_asked_reaches_a_command(
    inner: Steps, ask: Callable[[InProcessExecution], None], code: int
) -> None:
    running = inner.begin(MINE, *SH, "echo on; while :; do sleep 0.05; done")
    await until_written(inner.files.stdout)
    ask(running)
    assert (await running.wait()).exit_code == code


async def test_the_next_server_reads_the_exit_code_of_a_command_whose_output_was_lost(
    daemon: Daemon, inner: Steps
) -> None:
    first = inner.begin(MINE, *SH, "echo on; for late in 1 2 3 4 5; do sleep 0.1; echo $late; done; exit 5")
    await until_written(inner.files.stdout)
    await detach(first)
    await until_ended(daemon, inner)
    assert (await inner.adopt().wait()).exit_code == 5


async def test_a_command_that_was_created_and_not_started_is_started_once(daemon: Daemon, inner: Steps) -> None:
    made = daemon.api.post("/containers/mine/exec", json={"Cmd": ["echo", "once"], "AttachStdout": True}).json()
    note = {"type": "exec", "docker": {"DOCKER_HOST": daemon.address}, "job": "7-1-0-1", "container": "mine"}
    inner.files.note.write_bytes(msgspec.json.encode({**note, "instance": made["Id"], "user": "", "privileged": False}))
    assert [await inner.adopt().wait() for _ in range(2)] == [Outcome(exit_code=0)] * 2
    assert inner.out == "once\n"


# -- the container of a run ------------------------------------------------------------------------------------------


async def test_the_steps_of_a_run_share_its_container_until_its_end(daemon: Daemon, steps: Steps) -> None:
    container = msgspec.structs.replace(
        RUNS, env=(Pair("A", "x y"),), working_dir="/tmp", volumes=("cache:/cache", f"{steps.files.directory}:/data:ro")
    )
    shared = steps.shared(container)
    await steps.end({}, *SH, "echo $A >/cache/left", shared=shared)
    again = Steps(address=steps.address, files=ExecutionFiles(*_other_files(steps)))
    await again.end({}, *SH, "pwd; cat /cache/left; touch /data/new", shared=shared)
    assert (again.out, "Read-only file system" in again.err) == ("/tmp\nx y\n", True)
    assert daemon.names() == ["/dagbook-7-1"]
    again.files.note.write_bytes(Path(shared.run_note).read_bytes())
    await again.abandon()
    assert daemon.names() == []


def _other_files(steps: Steps) -> tuple[str, Path, Path]:
    directory = steps.files.directory
    return f"{directory}/b", directory / "b.out", directory / "b.err"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"startup": "command", "command": ("sh", "-c", "echo no disk >&2; exit 4"), "log_pattern": "ready"},
            "has ended",
        ),
        ({"startup": "command", "command": ("no-such-program",)}, "could not be started"),
        ({"user": "nobody-here"}, "could not be started"),
        ({"working_dir": "relative"}, "could not be created"),
    ],
    ids=["ended", "program", "user", "directory"],
)
async def test_a_container_that_does_not_get_ready_is_reported(
    steps: Steps, more: dict[str, Any], sentence: str
) -> None:
    outcome = await steps.end({}, "true", shared=steps.shared(msgspec.structs.replace(RUNS, **more)))
    assert outcome.error.startswith(f"the container of the run {sentence}")
