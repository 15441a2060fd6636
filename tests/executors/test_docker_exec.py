"""Steps in containers that run already, against a stand-in for the daemon (DAG format 4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagbook.executors.contract import Outcome, SetupError
from dagbook.executors.docker import engine
from tests.executors.docker_scene import SH, Scene
from tests.executors.docker_stand_in import Exec
from tests.waiting import until_gone, until_written

MINE = {"containerName": "mine"}
WAITING = "echo $$; exec sleep 60"


@pytest.fixture
async def inner(docker: Scene) -> Scene:
    """The same with a container named ``mine`` that runs."""
    await docker.daemon.run("mine", "sleep", "600")
    return docker


def the_exec(scene: Scene) -> Exec:
    return scene.daemon.named("mine").execs[0]


async def test_a_command_runs_in_the_container_and_keeps_its_streams_apart(inner: Scene) -> None:
    outcome = await inner.end(MINE, *SH, "echo out; echo err >&2; exit 9")
    assert (outcome.exit_code, inner.out, inner.err) == (9, "out\n", "err\n")
    assert len(inner.daemon.containers) == 1


async def test_an_image_beside_the_name_of_a_running_container_makes_no_new_one(inner: Scene) -> None:
    await inner.end({**MINE, "image": "busybox"}, "echo", "in")
    assert (inner.out, len(inner.daemon.containers)) == ("in\n", 1)


async def test_the_exec_map_configures_the_command(inner: Scene) -> None:
    options = {"user": "1000", "workingDir": "/", "env": ["A=1"], "privileged": "true", "TTY": True}
    await inner.end({**MINE, "exec": options}, *SH, "echo $A; pwd")
    assert inner.out == "1\n/\n"
    body = the_exec(inner).body
    assert {key: body[key] for key in ("User", "WorkingDir", "Privileged", "Tty", "Cmd")} == {
        "User": "1000",
        "WorkingDir": "/",
        "Privileged": True,
        "Tty": True,
        "Cmd": ["sh", "-c", "echo $A; pwd"],
    }


async def test_several_lines_run_one_after_another_until_one_fails(inner: Scene) -> None:
    outcome = await inner.end(MINE, "echo", "a", following=[["echo", "b"], [*SH, "exit 5"], ["echo", "c"]])
    assert (outcome.exit_code, outcome.error) == (5, "line 3: exit status 5")
    assert (inner.out, len(inner.daemon.containers)) == ("a\nb\n", 1)


async def test_a_server_that_adopts_a_line_runs_the_lines_after_it(inner: Scene, tmp_path: Path) -> None:
    running = inner.begin(
        MINE, *SH, f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done", following=[["echo", "last"]]
    )
    assert await until_written(inner.files.stdout) == "early\n"
    running.detach()
    adopted = inner.adopt()
    (tmp_path / "go").touch()
    assert (await adopted.wait()).exit_code == 0
    assert inner.out == "early\nlast\n"


async def test_a_stop_begins_no_further_line(inner: Scene) -> None:
    running = inner.begin(MINE, *SH, "trap 'exit 0' TERM; echo up; sleep 60 & wait", following=[["echo", "never"]])
    assert await until_written(inner.files.stdout) == "up\n"
    running.signal("SIGTERM")
    assert (await running.wait()).exit_code == 0
    assert inner.out == "up\n"


async def test_variables_of_exec_can_be_a_map(inner: Scene) -> None:
    await inner.end({**MINE, "exec": {"env": {"A": 1}}}, *SH, "echo $A")
    assert inner.out == "1\n"


async def test_output_is_there_while_the_command_runs(inner: Scene, tmp_path: Path) -> None:
    running = inner.begin(MINE, *SH, f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late")
    assert await until_written(inner.files.stdout) == "early\n"
    (tmp_path / "go").touch()
    assert (await running.wait(), inner.out) == (Outcome(exit_code=0), "early\nlate\n")


async def test_much_output_arrives_complete(inner: Scene) -> None:
    await inner.end(MINE, *SH, "yes | head -c 3000000")
    assert len(inner.out) == 3_000_000


async def test_a_missing_command_is_reported_with_the_daemons_message(inner: Scene) -> None:
    outcome = await inner.end(MINE, "no-such-program")
    words = "OCI runtime exec failed: exec failed: unable to start container process"
    assert outcome == Outcome(
        exit_code=126,
        error=f"the command could not be started in the container: {words}: "
        'exec: "no-such-program": executable file not found in $PATH: unknown',
    )


async def test_an_exit_code_of_126_is_that_of_the_command(inner: Scene) -> None:
    assert await inner.end(MINE, *SH, "exit 126") == Outcome(exit_code=126, error="exit status 126")


async def test_a_step_without_a_command_is_an_error(inner: Scene) -> None:
    with pytest.raises(SetupError, match="docker: the step has no command for the container that runs"):
        await inner.end(MINE)


async def test_a_missing_container_is_reported(docker: Scene) -> None:
    with pytest.raises(SetupError, match="there is no container 'mine'; start it, or name the image to make it"):
        await docker.end(MINE, "true")


async def test_a_container_that_does_not_run_is_reported(inner: Scene) -> None:
    await inner.daemon.named("mine").end()
    with pytest.raises(SetupError, match=r"^container 'mine' does not run \(exited\); start it$"):
        await inner.end(MINE, "true")


async def test_a_container_of_others_that_does_not_run_is_not_replaced(inner: Scene) -> None:
    await inner.daemon.named("mine").end()
    outcome = await inner.end({**MINE, "image": "busybox"}, "true")
    assert "container 'mine' is there but does not run (exited), and is none of Dagbook's; start it" in outcome.error


async def test_a_container_that_ends_takes_the_command_along(inner: Scene) -> None:
    running = inner.begin(MINE, *SH, WAITING)
    await until_written(inner.files.stdout)
    await inner.daemon.named("mine").end()
    assert (await running.wait()).exit_code == 137


# -- stops -----------------------------------------------------------------------------------------------------------


async def test_a_stop_reaches_the_command_and_leaves_the_container_alone(inner: Scene) -> None:
    running = inner.begin(MINE, *SH, "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done")
    await until_written(inner.files.stdout, "ready")
    running.signal("SIGINT")
    assert (await running.wait()).exit_code == 7
    assert (inner.out, inner.daemon.named("mine").status) == ("ready\nbye\n", "running")


async def test_a_stop_reaches_no_other_command_of_the_container(inner: Scene, tmp_path: Path) -> None:
    # The name of the one is the beginning of the other's.
    other = Scene.of(inner.daemon, inner.files.__class__(f"{tmp_path}/b", tmp_path / "b.out", tmp_path / "b.err"))
    running, spared = inner.begin(MINE, *SH, WAITING), other.begin(MINE, *SH, WAITING, job_id="7-1-0-12")
    await until_written(inner.files.stdout)
    await until_written(other.files.stdout)
    running.signal("SIGTERM")
    assert (await running.wait()).exit_code == 143
    assert inner.daemon.named("mine").execs[1].running
    spared.kill()
    await spared.wait()


async def test_a_command_that_does_not_heed_the_signal_is_killed_with_its_children(inner: Scene) -> None:
    running = inner.begin(MINE, *SH, "trap '' TERM; sleep 60 & echo $!; while :; do sleep 0.01; done")
    child = int(await until_written(inner.files.stdout))
    running.signal("SIGTERM")
    running.kill()
    assert (await running.wait()).exit_code == 137
    await until_gone(child)


async def test_a_command_that_cannot_be_signalled_in_the_container_is_reported(
    inner: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.executors.cancellation._LAST_SECONDS", 0.1)
    inner.daemon.named("mine").shell = False
    running = inner.begin(MINE, *SH, WAITING)
    await until_written(inner.files.stdout)
    running.kill()
    assert (await running.wait()).error.startswith("stopped, but the command may still run in the container")


# -- servers one after the other -------------------------------------------------------------------------------------


async def detach(running: Any) -> None:
    running.detach()
    await running.wait()


async def test_the_next_server_reads_the_exit_code_and_reports_lost_output(inner: Scene, tmp_path: Path) -> None:
    text = f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late; exit 5"
    first = inner.begin(MINE, *SH, text)
    await until_written(inner.files.stdout)
    await detach(first)
    second = inner.adopt()
    await until_written(inner.files.stderr)
    (tmp_path / "go").touch()
    assert (await second.wait()).exit_code == 5
    assert inner.out == "early\n"
    assert inner.err == "[dagbook: what the command wrote while no server followed it is lost]\n"


async def test_an_adopted_command_can_be_stopped(inner: Scene) -> None:
    first = inner.begin(MINE, *SH, WAITING)
    pid = int(await until_written(inner.files.stdout))
    await detach(first)
    second = inner.adopt()
    second.signal("SIGTERM")
    assert (await second.wait()).exit_code == 143
    await until_gone(pid)


async def test_a_command_that_was_created_and_not_started_is_started_by_the_next_server(inner: Scene) -> None:
    inner.daemon.before_exec.clear()
    first = inner.begin(MINE, *SH, "echo once")
    await inner.daemon.beginning.wait()
    await detach(first)
    inner.daemon.before_exec.set()
    assert (await inner.adopt().wait(), inner.out, inner.err) == (Outcome(exit_code=0), "once\n", "")


async def test_a_command_that_the_daemon_has_forgotten_has_an_unknown_end(
    inner: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = inner.begin(MINE, *SH, WAITING)
    await until_written(inner.files.stdout)
    await detach(first)
    await inner.daemon.remove_all()
    inner.daemon.execs.clear()
    monkeypatch.setattr(engine, "_EVENTS_SECONDS", 0.1)
    outcome = await inner.adopt().wait()
    assert outcome == Outcome(exit_code=1, error="the exit code of the command in the container is unknown")


async def test_the_end_of_a_command_that_the_daemon_does_not_show_any_more_is_in_its_events(inner: Scene) -> None:
    first = inner.begin(MINE, *SH, "echo on; read wait || exit 4")
    await until_written(inner.files.stdout)
    await detach(first)
    instance = the_exec(inner)
    await instance.ended.wait()
    inner.daemon.hidden.add(instance.id)
    assert (await inner.adopt().wait()).exit_code == 4


async def test_a_new_command_that_podman_shows_as_succeeded_is_started(
    inner: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Exec.shown
    monkeypatch.setattr(Exec, "shown", lambda self: {**shown(self), "Pid": 0, "ExitCode": self.exit_code or 0})
    inner.daemon.before_exec.clear()
    first = inner.begin(MINE, *SH, "echo once")
    await inner.daemon.beginning.wait()
    await detach(first)
    inner.daemon.before_exec.set()
    assert (await inner.adopt().wait(), inner.out) == (Outcome(exit_code=0), "once\n")


async def test_a_finished_command_that_podman_shows_as_new_is_not_started_again(
    inner: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = inner.begin(MINE, *SH, "echo once")
    await until_written(inner.files.stdout)
    await detach(first)
    await the_exec(inner).ended.wait()
    shown = Exec.shown
    monkeypatch.setattr(Exec, "shown", lambda self: {**shown(self), "Pid": 0})
    assert (await inner.adopt().wait(), inner.out) == (Outcome(exit_code=0), "once\n")


async def test_an_end_without_an_exit_code_is_no_success(inner: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    running = inner.begin(MINE, *SH, WAITING)
    await until_written(inner.files.stdout)
    instance = the_exec(inner)
    monkeypatch.setattr(instance, "shown", lambda: {**Exec.shown(instance), "ExitCode": None})
    monkeypatch.setattr(engine, "_EVENTS_SECONDS", 0.1)
    inner.daemon.tells_ends = False
    instance.kill_all()
    assert await running.wait() == Outcome(
        exit_code=1, error="the exit code of the command in the container is unknown"
    )


async def test_an_abandoned_execution_is_killed(inner: Scene) -> None:
    first = inner.begin(MINE, *SH, WAITING)
    pid = int(await until_written(inner.files.stdout))
    await detach(first)
    await inner.abandon()
    await until_gone(pid)
