"""The container of one step, as its ``container`` says, against a stand-in for the daemon (DAG format 1.30, 3.3)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dagbook.executors.contract import Outcome, SetupError
from dagbook.executors.docker import run_container
from dagbook.spec.model import Container, Pair
from tests.executors.docker_scene import SH, Scene, body_of
from tests.executors.docker_stand_in import Image
from tests.waiting import until_written

BUSYBOX = Container(image="busybox")
INNER = Container(exec="inner")


async def end(docker: Scene, container: Container, *command: str, **more: Any) -> Outcome:
    return await docker.begin({}, *(command or ("true",)), container=container, **more).wait()


# -- made from an image ----------------------------------------------------------------------------------------------


async def test_the_command_runs_in_it_and_it_is_removed_afterwards(docker: Scene) -> None:
    outcome = await end(docker, BUSYBOX, *SH, "echo out; echo err >&2; exit 3")
    assert (outcome.exit_code, docker.out, docker.err, docker.daemon.containers) == (3, "out\n", "err\n", {})


async def test_the_words_go_to_the_images_entrypoint_without_a_shell(docker: Scene) -> None:
    docker.daemon.images["greeter:1"] = Image(Entrypoint=["echo", "hello"], Cmd=["you"])
    await end(docker, Container(image="greeter:1"), "a", "&&", "b|c")
    assert docker.out == "hello a && b|c\n"


async def test_without_a_command_the_images_own_runs(docker: Scene) -> None:
    docker.daemon.images["greeter:1"] = Image(Entrypoint=["echo"], Cmd=["hello"])
    await docker.begin({}, container=Container(image="greeter:1")).wait()
    assert docker.out == "hello\n"


async def test_several_lines_run_in_one_container_that_is_removed_afterwards(docker: Scene) -> None:
    outcome = await end(docker, BUSYBOX, *SH, "echo a", following=[[*SH, "echo b; exit 4"], ["echo", "c"]])
    assert (outcome.exit_code, outcome.error) == (4, "line 2: exit status 4")
    assert (docker.out, docker.daemon.containers) == ("a\nb\n", {})


async def test_a_config_with_an_image_runs_several_lines_in_one_container_too(docker: Scene) -> None:
    outcome = await docker.end({"image": "busybox"}, *SH, "echo a", following=[["echo", "b"]])
    assert (outcome, docker.out, docker.daemon.containers) == (Outcome(exit_code=0), "a\nb\n", {})


async def test_the_definition_reaches_the_daemon(docker: Scene) -> None:
    docker.daemon.registry["busybox:latest"] = Image(platform="linux/arm64")
    container = Container(
        image="busybox",
        name="box",
        env=(Pair("A", "1"),),
        volumes=("./data:/data:ro", "named:/named"),
        user="1000",
        working_dir="/",
        platform="linux/arm64",
        network="host",
        ports=("8080:81",),
        keep_container=True,
        pull_policy="always",
        startup="forever",  # this and the rest is for the container of a run
        command=("sleep", "600"),
        wait_for="healthy",
        log_pattern="never",
        restart_policy="always",
    )
    outcome = await end(docker, container, *SH, "echo $A; pwd", shared=docker.shared(BUSYBOX, work_dir="/flows"))
    assert (outcome, docker.out) == (Outcome(exit_code=0), "1\n/\n")
    assert body_of(docker) == {
        "Image": "busybox",
        "Cmd": [*SH, "echo $A; pwd"],
        "Env": ["A=1"],
        "User": "1000",
        "WorkingDir": "/",
        "ExposedPorts": {"81/tcp": {}},
        "Labels": {"dagbook.execution": "7-1-0-1"},
        "HostConfig": {
            "Binds": [f"{docker.files.directory}/data:/data:ro", "named:/named"],
            "PortBindings": {"81/tcp": [{"HostIp": "", "HostPort": "8080"}]},
            "NetworkMode": "host",
        },
    }
    made = docker.daemon.named("box")
    assert (made.config["platform"], made.status) == ("linux/arm64", "exited")


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        (Container(image="busybox", volumes=("/data",)), "container: volumes: '/data' is not of the form"),
        (Container(image="busybox", ports=("http",)), "container: ports: 'http' is not of the form"),
        (Container(), "container: neither exec nor image is left of it once its variables are replaced"),
        (Container(exec="../images"), "container: exec: '../images' is not the name or id of a container"),
    ],
)
async def test_what_cannot_be_used_fails_the_step_while_it_is_set_up(
    docker: Scene, container: Container, sentence: str
) -> None:
    with pytest.raises(SetupError) as raised:
        await end(docker, container)
    assert (sentence in str(raised.value), docker.daemon.containers) == (True, {})


@pytest.mark.parametrize(
    ("container", "sentence"),
    [
        (Container(image="nowhere"), "image 'nowhere' could not be pulled"),
        (Container(image="nowhere", pull_policy="never"), "image 'nowhere' is not here"),
        (BUSYBOX, "the container could not be started: failed to create task"),
    ],
)
async def test_a_missing_image_and_a_missing_program_have_exit_code_1(
    docker: Scene, container: Container, sentence: str
) -> None:
    outcome = await end(docker, container, "no-such-program")
    assert (outcome.exit_code, sentence in outcome.error, docker.daemon.containers) == (1, True, {}), outcome


async def test_a_name_that_a_running_container_has_fails_the_step_and_leaves_that_alone(docker: Scene) -> None:
    taken = await docker.daemon.run("box", "sleep", "600")
    outcome = await end(docker, Container(image="busybox", name="box"))
    assert (outcome.exit_code, 'The container name "/box" is already in use' in outcome.error) == (1, True)
    assert (taken.status, taken.execs) == ("running", [])


async def test_an_ended_container_of_dagbooks_makes_room_for_its_name(docker: Scene) -> None:
    container = Container(image="busybox", name="box", keep_container=True)
    await end(docker, container, "echo", "one")
    outcome = await end(again(docker), container, "echo", "two")
    assert (outcome.exit_code, len(docker.daemon.containers), len(docker.daemon.removed)) == (0, 1, 1)


def again(docker: Scene) -> Scene:
    directory = docker.files.directory
    files = type(docker.files)(f"{directory}/b", directory / "b.out", directory / "b.err")
    return Scene.of(docker.daemon, files)


async def test_a_stop_ends_the_container_and_removes_it(docker: Scene) -> None:
    running = docker.begin(
        {}, *SH, "trap 'echo bye; exit 5' TERM; echo on; while :; do sleep 0.01; done", container=BUSYBOX
    )
    await until_written(docker.files.stdout)
    running.signal("SIGTERM")
    assert ((await running.wait()).exit_code, docker.out, docker.daemon.containers) == (5, "on\nbye\n", {})


async def test_the_next_server_goes_on_with_it(docker: Scene) -> None:
    running = docker.begin({}, *SH, "trap 'exit 4' TERM; echo on; while :; do sleep 0.01; done", container=BUSYBOX)
    await until_written(docker.files.stdout)
    running.detach()
    await running.wait()
    adopted = docker.adopt()
    adopted.signal("SIGTERM")
    assert ((await adopted.wait()).exit_code, docker.out, docker.daemon.containers) == (4, "on\n", {})


# -- one that runs already -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of_run", [False, True], ids=["step", "run"])
async def test_the_command_runs_in_one_that_runs_already_which_is_left_alone(docker: Scene, *, of_run: bool) -> None:
    inner = await docker.daemon.run("inner", "sleep", "600")
    container = Container(exec="inner", user="me", working_dir="/", env=(Pair("A", "1"),))
    place = {"shared": docker.shared(container)} if of_run else {"container": container}
    outcome = await docker.begin({}, *SH, "echo $A; pwd; exit 9", **place).wait()
    assert (outcome.exit_code, docker.out, inner.status) == (9, "1\n/\n", "running")
    assert inner.execs[0].body["User"] == "me"
    assert not (docker.files.directory / "7_1_container.note").exists()


async def test_the_step_waits_until_it_runs(docker: Scene) -> None:
    running = docker.begin({}, "echo", "in", container=INNER)
    done, _ = await asyncio.wait({asyncio.ensure_future(running.wait())}, timeout=0.1)
    assert not done
    await docker.daemon.run("inner", "sleep", "600")
    assert (await running.wait(), docker.out) == (Outcome(exit_code=0), "in\n")


@pytest.mark.parametrize("ended", [False, True])
async def test_one_that_does_not_run_in_time_fails_the_step_while_it_is_set_up(
    docker: Scene, monkeypatch: pytest.MonkeyPatch, *, ended: bool
) -> None:
    monkeypatch.setattr(run_container, "_READY_SECONDS", 1)
    if ended:
        await (await docker.daemon.run("inner", "sleep", "600")).end()
    state = r"does not run \(exited\)" if ended else "is not there"
    with pytest.raises(SetupError, match=rf"container 'inner' {state}, after 1 seconds; start it"):
        await end(docker, INNER)


async def test_a_stop_ends_the_wait_for_it(docker: Scene) -> None:
    running = docker.begin({}, "true", container=INNER)
    await asyncio.sleep(0)
    running.signal("SIGTERM")
    assert await running.wait() == Outcome(exit_code=None, error="stopped")


async def test_without_a_command_there_is_nothing_to_do_in_it(docker: Scene) -> None:
    with pytest.raises(SetupError, match="the step has no command for the container that runs"):
        await docker.begin({}, container=INNER).wait()


async def test_a_program_that_is_not_there_has_exit_code_126(docker: Scene) -> None:
    await docker.daemon.run("inner", "sleep", "600")
    assert (await end(docker, INNER, "no-such-program")).exit_code == 126


# -- the name of the container of a run ------------------------------------------------------------------------------


async def test_the_steps_of_a_run_share_the_container_of_the_name_that_their_dag_gives(docker: Scene) -> None:
    shared = docker.shared(Container(image="busybox", name="box"))
    first = await docker.end({}, *SH, "echo one > common", shared=shared)
    second = await again(docker).end({}, *SH, "cat common", shared=shared)
    assert (first, second) == (Outcome(exit_code=0), Outcome(exit_code=0))
    assert [container.name for container in docker.daemon.containers.values()] == ["box"]
    docker.files.note.write_bytes((docker.files.directory / "7_1_container.note").read_bytes())
    await docker.abandon()
    assert docker.daemon.containers == {}


@pytest.mark.parametrize("ended", [False, True])
async def test_the_container_of_a_run_takes_no_name_from_a_stranger(docker: Scene, *, ended: bool) -> None:
    taken = await docker.daemon.run("box", "sleep", "600")
    if ended:
        await taken.end()
    outcome = await docker.end({}, "true", shared=docker.shared(Container(image="busybox", name="box")))
    assert (outcome.exit_code, list(docker.daemon.containers.values())) == (1, [taken])
    assert "the container of the run could not be created: Conflict." in outcome.error


async def test_the_ended_container_of_an_earlier_run_makes_room_for_its_name(docker: Scene) -> None:
    await end(docker, Container(image="busybox", name="box", keep_container=True))
    shared = docker.shared(Container(image="busybox", name="box"))
    assert await again(docker).end({}, "true", shared=shared) == Outcome(exit_code=0)
