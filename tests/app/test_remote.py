"""Steps on other machines and in containers, as users write them (DAG format 2.13, 2.14, 4.4, 4.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.app.dagbook import Dagbook
from tests.executors.docker_stand_in import Image, StandIn, standing_in
from tests.executors.ssh_server import USER, SshServer, serving
from tests.process import processes
from tests.waiting import wait_until


@pytest.fixture(scope="module")
async def remote(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SshServer]:
    async with serving(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StandIn]:
    async with standing_in(tmp_path_factory.mktemp("docker")) as running:
        yield running


def over_ssh(remote: SshServer, steps: str, *, more: str = "") -> str:
    return f"""
params: PORT={remote.port}
ssh: {{host: 127.0.0.1, port: "${{PORT}}", user: {USER}, key: {remote.key}, knownHostFile: {remote.known_hosts}}}
{more}
steps:
{steps}
"""


def in_container(daemon: StandIn, steps: str, *, container: str = "", more: str = "") -> str:
    return f"""
env: [DOCKER_HOST: "{daemon.address}", SIZE: "3"]
container: {{image: busybox, env: [HOW: big $SIZE]{container}}}
{more}
steps:
{steps}
"""


async def until_empty(daemon: StandIn) -> None:
    async def look() -> bool:
        return not daemon.containers

    await wait_until(look)


# -- ssh -------------------------------------------------------------------------------------------------------------


async def test_steps_of_a_dag_with_ssh_run_there_and_hand_on_their_output(dagbook: Dagbook, remote: SshServer) -> None:
    steps = """
  - {name: a, command: echo far, output: WHERE}
  - {name: b, command: "echo from $WHERE; exit 3", continueOn: {exitCode: 3}}
  - {name: c, executor: "", command: 'echo "[$WHERE]"'}
"""
    ended = await dagbook.run(over_ssh(remote, steps))
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["succeeded", "failed", "succeeded"])
    assert [await ended.log(step) for step in "abc"] == ["far", "from far", "[far]"]


async def test_a_remote_command_that_takes_too_long_is_ended(
    dagbook: Dagbook, remote: SshServer, tmp_path: Path
) -> None:
    witness = tmp_path / "witness"
    witness.touch()
    steps = f"""
  - {{name: a, command: exec tail -f {witness}, timeoutSec: 1, continueOn: {{exitCode: 124}}}}
  - echo on
"""
    ended = await dagbook.run(over_ssh(remote, steps))
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])

    async def is_gone() -> bool:
        return not processes.with_argument(str(witness))

    await wait_until(is_gone)


async def test_a_remote_command_is_stopped_with_its_run(dagbook: Dagbook, remote: SshServer) -> None:
    command = "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.05; done"
    steps = f'  - {{name: a, signalOnStop: SIGINT, command: ["{command}"]}}'
    run_id = await dagbook.start(over_ssh(remote, steps))
    await dagbook.running(run_id, "a", "ready")
    ended = await dagbook.stop(run_id)
    assert (ended.status, await ended.log("a")) == ("aborted", "ready\nbye")


async def test_a_handler_runs_on_the_other_machine_too(dagbook: Dagbook, remote: SshServer) -> None:
    handlers = "handlerOn: {exit: {command: echo over}}"
    ended = await dagbook.run(over_ssh(remote, "  - {name: a, command: 'true'}", more=handlers))
    assert await ended.log("onExit") == "over"


async def test_a_retry_tries_a_host_again(dagbook: Dagbook, remote: SshServer, tmp_path: Path) -> None:
    command = f"[ -e {tmp_path}/again ] || {{ touch {tmp_path}/again; exit 1; }}"
    steps = f"  - {{name: a, command: '{command}', retryPolicy: {{limit: 1, intervalSec: 0}}}}"
    ended = await dagbook.run(over_ssh(remote, steps))
    assert (ended.status, ended.nodes["a"]["retryCount"]) == ("succeeded", 1)


# -- containers ------------------------------------------------------------------------------------------------------


async def test_all_steps_of_a_dag_with_a_container_share_it_and_it_goes_with_the_run(
    dagbook: Dagbook, daemon: StandIn
) -> None:
    steps = """
  - {name: a, command: sh -c "printenv HOW > common; echo made", output: A}
  - {name: b, command: cat common}
  - {name: c, executor: "", command: echo here, depends: [b]}
"""
    more = "handlerOn: {exit: {command: cat common}}"
    ended = await dagbook.run(in_container(daemon, steps, more=more))
    assert (ended.status, ended.nodes["a"]["statusLabel"]) == ("succeeded", "succeeded")
    assert [await ended.log(step) for step in ("a", "b", "c", "onExit")] == ["made", "big 3", "here", "big 3"]
    await until_empty(daemon)
    (removed,) = daemon.removed
    assert len(removed.execs) == 3


async def test_a_container_that_is_to_be_kept_is(dagbook: Dagbook, daemon: StandIn) -> None:
    ended = await dagbook.run(in_container(daemon, "  - echo on", container=", keepContainer: true"))
    assert ended.status == "succeeded"
    assert [container.status for container in daemon.containers.values()] == ["running"]


async def test_a_container_that_does_not_start_fails_the_run_and_is_removed(dagbook: Dagbook, daemon: StandIn) -> None:
    container = ", startup: command, command: [no-such-program]"
    ended = await dagbook.run(
        in_container(daemon, "  - {name: a, command: echo on}\n  - echo next", container=container)
    )
    assert (ended.status, ended.statuses) == ("failed", ["failed", "aborted"])
    assert "the container of the run could not be started" in ended.nodes["a"]["error"]
    await until_empty(daemon)


async def test_a_container_goes_with_a_run_that_is_stopped(dagbook: Dagbook, daemon: StandIn) -> None:
    run_id = await dagbook.start(in_container(daemon, "  - {name: a, command: sh -c 'echo ready; exec sleep 60'}"))
    await dagbook.running(run_id, "a", "ready")
    ended = await dagbook.stop(run_id)
    assert (ended.status, ended.statuses) == ("aborted", ["aborted"])
    await until_empty(daemon)


async def test_a_run_that_needs_no_container_starts_none(dagbook: Dagbook, daemon: StandIn) -> None:
    ended = await dagbook.run(in_container(daemon, "  - {name: a, executor: '', command: echo on}"))
    assert (ended.status, daemon.containers, daemon.removed) == ("succeeded", {}, [])


async def test_a_step_in_a_container_of_its_own_leaves_its_exit_code(dagbook: Dagbook, daemon: StandIn) -> None:
    spec = f"""
env: [DOCKER_HOST: "{daemon.address}"]
params: NAME=world
steps:
  - name: a
    executor: {{type: docker, config: {{image: busybox, autoRemove: true, container: {{env: ["WHO=${{NAME}}"]}}}}}}
    command: sh -c "printenv WHO; exit 7"
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.nodes["a"]["error"], await ended.log("a")) == ("failed", "exit status 7", "world")
    assert daemon.containers == {}


async def test_a_step_names_its_container_with_all_that_it_sees(dagbook: Dagbook, daemon: StandIn) -> None:
    daemon.images["tool:3"] = Image()
    spec = f"""
env: [DOCKER_HOST: "{daemon.address}", TAG: "3"]
params: WHO=world
steps:
  - {{name: first, command: echo box, output: BOX}}
  - name: a
    container:
      image: tool:${{TAG}}
      name: ${{DAG_NAME}}-${{BOX}}
      env: [GREETING: "hello $WHO", BOTH: "$GREETING!", MINE: container]
      network: $BOX
    env: [MINE: step, STEPS: "1"]
    command: sh -c "printenv GREETING BOTH MINE STEPS; exit 7"
    continueOn: {{exitCode: 7}}
  - {{name: b, container: {{exec: inner}}, env: [MINE: step], command: sh -c "printenv MINE"}}
handlerOn:
  exit: {{container: {{image: busybox}}, command: echo over}}
"""
    await daemon.run("inner", "sleep", "600")
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["succeeded", "failed", "succeeded"])
    assert await ended.log("a") == "hello world\nhello world!\ncontainer\n1"
    assert [await ended.log(name) for name in ("b", "onExit")] == ["step", "over"]
    assert [container.name for container in daemon.containers.values()] == ["inner"]
    (made, _) = daemon.removed
    assert (made.name, made.body["HostConfig"]["NetworkMode"]) == (f"{dagbook.name}-box", "box")


async def test_a_step_with_a_container_of_its_own_leaves_that_of_its_dag_alone(
    dagbook: Dagbook, daemon: StandIn
) -> None:
    steps = """
  - {name: a, container: {image: busybox}, command: echo alone}
  - {name: b, executor: "", command: echo here}
"""
    ended = await dagbook.run(in_container(daemon, steps))
    assert (ended.status, await ended.log("a")) == ("succeeded", "alone")
    assert [container.name for container in daemon.removed] == ["nameless-0"]


@pytest.mark.parametrize("container", ["inner", "{exec: $WHICH, user: $WHO, workingDir: '/', env: [HOW: big]}"])
async def test_steps_of_a_dag_run_in_a_container_that_runs_already_and_is_left_alone(
    dagbook: Dagbook, daemon: StandIn, container: str
) -> None:
    spec = f"""
env: [DOCKER_HOST: "{daemon.address}", WHICH: inner]
params: WHO=me
container: {container}
steps:
  - {{name: a, command: sh -c "echo there $HOW"}}
  - {{name: b, command: echo again}}
"""
    inner = await daemon.run("inner", "sleep", "600")
    ended = await dagbook.run(spec)
    assert (ended.status, await ended.log("b")) == ("succeeded", "again")
    assert (len(inner.execs), list(daemon.containers.values()), daemon.removed) == (2, [inner], [])
    if container != "inner":
        body = inner.execs[0].body
        assert (body["User"], body["WorkingDir"], body["Env"][0]) == ("me", "/", "HOW=big")


async def test_a_container_that_cannot_be_reached_fails_its_step_with_exit_code_0(
    dagbook: Dagbook, tmp_path: Path
) -> None:
    spec = f"""
env: [DOCKER_HOST: "unix://{tmp_path}/none"]
steps:
  - {{name: a, container: {{image: busybox}}, command: echo in, continueOn: {{exitCode: [0]}}}}
  - {{name: b, command: echo went on}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])
    assert "no Docker daemon answers" in ended.nodes["a"]["error"]


async def test_a_container_that_takes_too_long_is_killed(dagbook: Dagbook, daemon: StandIn) -> None:
    spec = f"""
env: [DOCKER_HOST: "{daemon.address}"]
steps:
  - name: a
    executor: {{type: docker, config: {{image: busybox}}}}
    command: sh -c "trap '' TERM; while :; do sleep 0.05; done"
    timeoutSec: 1
    continueOn: {{exitCode: 124}}
  - echo on
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])
    (container,) = daemon.containers.values()
    assert container.command.exit_code == 137


async def test_a_machine_without_a_daemon_is_told(dagbook: Dagbook, tmp_path: Path) -> None:
    spec = f"""
env: [DOCKER_HOST: "unix://{tmp_path}/none"]
steps:
  - name: a
    executor: {{type: docker, config: {{image: busybox}}}}
    command: echo on
    continueOn: {{exitCode: [0]}}  # as before anything has run
    retryPolicy: {{limit: 1, intervalSec: 0, exitCode: [1]}}
  - {{name: b, command: 'true'}}
"""
    ended = await dagbook.run(spec)
    assert (ended.status, ended.statuses) == ("partially_succeeded", ["failed", "succeeded"])
    assert ended.nodes["a"]["error"].startswith(f"no Docker daemon answers at unix://{tmp_path}/none; start it")
    assert ended.nodes["a"]["retryCount"] == 1


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("container: {{image: busybox}}\nenv: [DOCKER_HOST: 'unix://{0}/none']", "no Docker daemon answers at"),
        ("ssh: {{host: 127.0.0.1, user: me, key: '{0}/none'}}", "the key {0}/none could not be read"),
        ("ssh: {{host: 127.0.0.1, user: me, password: x, knownHostFile: '{0}/none'}}", "{0}/none could not be read"),
    ],
    ids=["container", "key", "known hosts"],
)
async def test_where_a_dag_works_is_opened_by_the_first_step_that_needs_it(
    dagbook: Dagbook, tmp_path: Path, place: str, reason: str
) -> None:
    """The step fails with the reason, and the rest of the run goes its usual way (DAG format 1.30, 12)."""
    spec = """
steps:
  - {name: here, executor: "", command: echo here}
  - {name: there, command: echo there, retryPolicy: {limit: 1, intervalSec: 0}}
  - {name: next, executor: "", command: echo next}
handlerOn:
  failure: {executor: "", command: echo failed}
  exit: {executor: "", command: echo over}
"""
    ended = await dagbook.run(place.format(tmp_path) + spec)
    assert (ended.status, ended.statuses) == ("failed", ["succeeded", "failed", "aborted"])
    assert reason.format(tmp_path) in ended.nodes["there"]["error"]
    assert ended.nodes["there"]["retryCount"] == 1
    assert [await ended.log(handler) for handler in ("onFailure", "onExit")] == ["failed", "over"]
    assert ended.details["finishedAt"]
