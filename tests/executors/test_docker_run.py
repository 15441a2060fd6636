"""The container that the steps of a run share, against a stand-in for the daemon (DAG format 2.13)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagbook.executors.contract import ExecutionFiles, Outcome, SetupError
from dagbook.executors.docker import run_container
from dagbook.executors.docker.recovery_note import decode
from dagbook.spec.model import Container, Pair
from tests.executors.docker_scene import SH, Scene, body_of
from tests.executors.docker_stand_in import Image
from tests.waiting import until_written

BUSYBOX = Container(image="busybox")


def again(docker: Scene, name: str) -> Scene:
    """The same daemon for another step of the run."""
    directory = docker.files.directory
    files = ExecutionFiles(f"{directory}/{name}", directory / f"{name}.out", directory / f"{name}.err")
    return Scene.of(docker.daemon, files)


async def end(docker: Scene, container: Container, *command: str, **shared: Any) -> Outcome:
    return await docker.end({}, *(command or ("true",)), shared=docker.shared(container, **shared))


async def test_the_first_step_starts_it_and_the_others_run_in_the_same(docker: Scene) -> None:
    second = again(docker, "b")
    await end(docker, BUSYBOX, *SH, "echo one > common; echo out")
    outcome = await end(second, BUSYBOX, *SH, "cat common; exit 3")
    assert (outcome.exit_code, docker.out, second.out) == (3, "out\n", "one\n")
    (container,) = docker.daemon.containers.values()
    assert (container.name, container.status) == ("dagbook-7-1", "running")


async def test_steps_that_start_together_share_one(docker: Scene) -> None:
    docker.daemon.images.clear()
    docker.daemon.registry["busybox:latest"] = Image()
    second = again(docker, "b")
    both = [scene.begin({}, "echo", "x", shared=docker.shared(BUSYBOX)) for scene in (docker, second)]
    assert [await running.wait() for running in both] == [Outcome(exit_code=0)] * 2
    assert (docker.out, second.out, len(docker.daemon.containers)) == ("x\n", "x\n", 1)


async def test_one_that_a_server_made_and_did_not_start_is_started(docker: Scene) -> None:
    docker.daemon.before_start.clear()
    running = docker.begin({}, "true", shared=docker.shared(BUSYBOX))
    await docker.daemon.starting.wait()
    running.detach()
    await running.wait()
    docker.daemon.before_start.set()
    assert (await end(again(docker, "b"), BUSYBOX)).exit_code == 0


async def test_the_definition_reaches_the_daemon(docker: Scene) -> None:
    container = Container(
        image="busybox",
        env=(Pair("A", "1"), Pair("B", "two words")),
        volumes=("./data:/data:ro", "/abs:/abs", "~/mine:/mine:rw", "named:/named"),
        user="1000:1000",
        working_dir="/",
        platform="linux/arm64",
        network="container:other",
        ports=("80", "8080:81", "127.0.0.1::84", "127.0.0.1:8082:82/udp", "[::1]:8083:83"),
        restart_policy="unless-stopped",
        pull_policy="always",
    )
    docker.daemon.registry["busybox:latest"] = Image(platform="linux/arm64")
    await end(docker, container, *SH, "echo $A $B; pwd", work_dir="/flows")
    assert docker.out == "1 two words\n/\n"
    body = body_of(docker)
    assert body.pop("Entrypoint")[0] == "/bin/sh"
    assert body == {
        "Image": "busybox",
        "Cmd": [],
        "Env": ["A=1", "B=two words"],
        "User": "1000:1000",
        "WorkingDir": "/",
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "82/udp": {}, "83/tcp": {}, "84/tcp": {}},
        "Labels": {"dagbook.run": "7-1"},
        "HostConfig": {
            "Binds": ["/flows/data:/data:ro", "/abs:/abs", f"{docker.files.directory}/mine:/mine:rw", "named:/named"],
            "PortBindings": {
                "81/tcp": [{"HostIp": "", "HostPort": "8080"}],
                "82/udp": [{"HostIp": "127.0.0.1", "HostPort": "8082"}],
                "83/tcp": [{"HostIp": "::1", "HostPort": "8083"}],
                "84/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
            },
            "NetworkMode": "container:other",
            "RestartPolicy": {"Name": "unless-stopped"},
        },
    }
    (made,) = docker.daemon.containers.values()
    assert (made.config["platform"], docker.daemon.pulls[0]["platform"]) == ("linux/arm64", "linux/arm64")


async def test_startup_entrypoint_leaves_the_images_own(docker: Scene) -> None:
    docker.daemon.images["service:1"] = Image(Entrypoint=["sh", "-c"], Cmd=["echo up > log; exec sleep 600"])
    await end(docker, Container(image="service:1", startup="entrypoint"), *SH, "until [ -e log ]; do :; done; cat log")
    assert docker.out == "up\n"


async def test_startup_command_runs_the_command_instead_of_the_images_own(docker: Scene) -> None:
    docker.daemon.images["service:1"] = Image(Entrypoint=["false"])
    container = Container(image="service:1", startup="command", command=("sleep", "600"))
    assert (await end(docker, container)).exit_code == 0
    assert docker.daemon.named("dagbook-7-1").command.argv == ["sleep", "600"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"startup": "command"}, "container: command: is missing; startup: command runs it"),
        ({"startup": "forever"}, "container: startup: expected keepalive, entrypoint, command, found 'forever'"),
        ({"wait_for": "ready"}, "container: waitFor: expected running or healthy, found 'ready'"),
        ({"log_pattern": "("}, "container: logPattern: '(' is no regular expression: missing )"),
        ({"restart_policy": "on-failure"}, "container: restartPolicy: expected no, always or unless-stopped"),
        ({"volumes": ("/data",)}, "container: volumes: '/data' is not of the form source:target"),
        ({"volumes": ("/a:/b:z",)}, "container: volumes: '/a:/b:z' is not of the form source:target"),
        ({"ports": ("http",)}, "container: ports: 'http' is not of the form 80, 8080:80"),
        ({"ports": ("80:70000",)}, "container: ports: '80:70000' is not of the form"),
        ({"ports": ("80/icmp",)}, "container: ports: '80/icmp' is not of the form"),
    ],
)
async def test_an_invalid_container_is_reported_by_its_field(
    docker: Scene, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SetupError) as raised:
        await end(docker, Container(image="busybox", **fields))
    assert (sentence in str(raised.value), docker.daemon.containers) == (True, {})


async def test_a_step_without_a_command_is_an_error(docker: Scene) -> None:
    with pytest.raises(SetupError, match="docker: the step has no command for the container that runs"):
        await docker.end({}, shared=docker.shared(BUSYBOX))
    assert docker.daemon.containers == {}


# -- until it is ready -----------------------------------------------------------------------------------------------


async def test_a_step_waits_until_the_container_is_healthy(docker: Scene) -> None:
    docker.daemon.images["service:1"] = Image(
        Entrypoint=["sh", "-c", "echo well > state; exec sleep 600"],
        Healthcheck={"Test": ["CMD-SHELL", "[ -e state ]"]},
    )
    container = Container(image="service:1", startup="entrypoint", wait_for="healthy")
    await end(docker, container, "cat", "state")
    assert docker.out == "well\n"


async def test_an_unhealthy_container_is_reported_with_the_output_of_its_check(docker: Scene) -> None:
    docker.daemon.images["service:1"] = Image(Healthcheck={"Test": ["CMD-SHELL", "false"], "Retries": 2})
    outcome = await end(docker, Container(image="service:1", wait_for="healthy"))
    assert outcome == Outcome(exit_code=1, error="the container of the run is unhealthy: not well")


async def test_where_there_is_no_health_check_it_is_enough_that_the_container_runs(docker: Scene) -> None:
    assert (await end(docker, Container(image="busybox", wait_for="healthy"))).exit_code == 0


@pytest.mark.parametrize("pattern", ["ready in [0-9]+", "^ready", r"ms$"])
async def test_a_step_waits_for_a_pattern_in_the_log(docker: Scene, pattern: str) -> None:
    container = Container(
        image="busybox",
        startup="command",
        command=("sh", "-c", "echo starting; sleep 0.05; echo >state; printf 'ready in 7 ms'; exec sleep 600"),
        log_pattern=pattern,
    )
    assert (await end(docker, container, "ls", "state")).exit_code == 0


async def test_a_container_that_does_not_get_ready_in_time_is_reported(
    docker: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_container, "_READY_SECONDS", 0.2)
    outcome = await end(docker, Container(image="busybox", log_pattern="ready"))
    assert outcome.error == "the container of the run did not write 'ready' within 0.2 seconds"


async def test_a_container_that_ends_before_it_is_ready_is_reported_with_its_last_output(docker: Scene) -> None:
    container = Container(
        image="busybox", startup="command", command=("sh", "-c", "echo no disk >&2; exit 4"), log_pattern="ready"
    )
    outcome = await end(docker, container)
    assert outcome.error == "the container of the run has ended (exit code 4): no disk"


async def test_a_container_that_has_ended_meanwhile_is_reported(docker: Scene) -> None:
    await end(docker, BUSYBOX)
    await docker.daemon.named("dagbook-7-1").end()
    outcome = await end(again(docker, "b"), BUSYBOX)
    assert outcome.error == "the container of the run has ended (exit code 137): it wrote nothing"


async def test_a_container_that_cannot_be_started_is_reported(docker: Scene) -> None:
    outcome = await end(docker, Container(image="busybox", startup="command", command=("no-such-program",)))
    assert outcome.error.startswith("the container of the run could not be started: failed to create task")


async def test_a_stop_ends_the_wait_for_a_container(docker: Scene) -> None:
    running = docker.begin({}, "true", shared=docker.shared(Container(image="busybox", log_pattern="never")))
    await docker.daemon.starting.wait()
    running.signal("SIGTERM")
    assert await running.wait() == Outcome(exit_code=None, error="stopped")


# -- after the run ---------------------------------------------------------------------------------------------------


async def test_the_note_of_the_run_ends_it(docker: Scene) -> None:
    shared = docker.shared(BUSYBOX)
    running = docker.begin({}, *SH, "echo on; exec sleep 600", shared=shared)
    await until_written(docker.files.stdout)
    docker.files.note.write_bytes((docker.files.directory / "7_1_container.note").read_bytes())
    await docker.abandon()
    assert (docker.daemon.containers, (await running.wait()).exit_code) == ({}, 137)


async def test_there_is_a_note_before_there_is_a_container(docker: Scene) -> None:
    docker.daemon.images["busybox:latest"].broken = True
    await end(docker, BUSYBOX)
    note = decode((docker.files.directory / "7_1_container.note").read_bytes())
    assert msgspec.to_builtins(note)["run"] == "7-1"


async def test_one_that_is_kept_leaves_no_note(docker: Scene) -> None:
    await end(docker, Container(image="busybox", keep_container=True))
    assert not (docker.files.directory / "7_1_container.note").exists()
    assert docker.daemon.named("dagbook-7-1").status == "running"


async def test_where_there_is_no_daemon_there_is_no_note(docker: Scene, tmp_path: Path) -> None:
    shared = docker.shared(BUSYBOX, docker={"DOCKER_HOST": f"unix://{tmp_path}/none"})
    with pytest.raises(SetupError, match="no Docker daemon answers"):
        await docker.end({}, "true", shared=shared)
    assert not (docker.files.directory / "7_1_container.note").exists()
