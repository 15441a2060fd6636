"""Steps in containers of their own, against a stand-in for the daemon (DAG format 4.4)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagbook.executors.contract import Outcome, SetupError
from tests.executors.docker_scene import SH, Scene, body_of
from tests.executors.docker_stand_in import Image, standing_in
from tests.waiting import until_gone, until_written

BUSYBOX = {"image": "busybox"}
WAITING = "echo $$; exec sleep 60"


async def test_both_streams_are_kept_apart(docker: Scene) -> None:
    outcome = await docker.end(BUSYBOX, *SH, "echo out; echo err >&2")
    assert (outcome, docker.out, docker.err) == (Outcome(exit_code=0), "out\n", "err\n")


@pytest.mark.parametrize("code", [1, 42, 255])
async def test_the_exit_code_is_the_containers(docker: Scene, code: int) -> None:
    assert await docker.end(BUSYBOX, *SH, f"exit {code}") == Outcome(exit_code=code, error=f"exit status {code}")


async def test_words_reach_the_command_as_they_are(docker: Scene) -> None:
    await docker.end(BUSYBOX, "printf", "%s|", "a  b", "$HOME")
    assert docker.out == "a  b|$HOME|"


async def test_without_a_command_the_images_own_runs(docker: Scene) -> None:
    docker.daemon.images["greeter:1"] = Image(Entrypoint=["echo"], Cmd=["hello"])
    await docker.end({"image": "greeter:1"})
    assert docker.out == "hello\n"


async def test_the_command_goes_to_the_images_entrypoint(docker: Scene) -> None:
    docker.daemon.images["greeter:1"] = Image(Entrypoint=["echo", "hello"], Cmd=["you"])
    await docker.end({"image": "greeter:1"}, "there")
    assert docker.out == "hello there\n"


async def test_output_is_there_while_the_container_runs(docker: Scene, tmp_path: Path) -> None:
    running = docker.begin(BUSYBOX, *SH, f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late")
    assert await until_written(docker.files.stdout) == "early\n"
    (tmp_path / "go").touch()
    assert (await running.wait(), docker.out) == (Outcome(exit_code=0), "early\nlate\n")


async def test_binary_and_large_output_arrive_complete(docker: Scene) -> None:
    await docker.end(BUSYBOX, *SH, r"printf '\377\000'; yes | head -c 3000000")
    data = docker.files.stdout.read_bytes()
    assert (data[:2], len(data)) == (b"\xff\x00", 3_000_002)


async def test_what_a_terminal_shows_is_all_stdout(docker: Scene) -> None:
    await docker.end({**BUSYBOX, "container": {"tty": "true"}}, *SH, "echo one; echo two")
    assert docker.out == "one\ntwo\n"


async def test_a_missing_command_is_reported_and_leaves_no_container(docker: Scene) -> None:
    outcome = await docker.end(BUSYBOX, "no-such-program")
    assert (outcome.exit_code, docker.daemon.containers) == (1, {})
    assert outcome.error.startswith("the container could not be started: failed to create task for container:")


# -- what the daemon gets ------------------------------------------------------------------------------------------


async def test_the_maps_of_the_config_reach_the_daemon(docker: Scene) -> None:
    config = {
        **BUSYBOX,
        "platform": "linux/arm64",
        "pull": "never",
        "container": {"env": ["A=1"], "workingDir": "/", "user": "1000", "labels": {"team": "blue"}},
        "host": {"binds": ["/data:/data:ro"], "memory": "67108864", "PRIVILEGED": "true"},
        "network": {"endpointsConfig": {"inner": {}}},
    }
    docker.daemon.images["busybox:latest"].platform = "linux/arm64"
    assert (await docker.end(config, *SH, "echo $A; pwd")).exit_code == 0
    assert docker.out == "1\n/\n"
    assert body_of(docker) == {
        "Image": "busybox",
        "Cmd": ["sh", "-c", "echo $A; pwd"],
        "Env": ["A=1"],
        "WorkingDir": "/",
        "User": "1000",
        "Labels": {"team": "blue", "dagbook.execution": "7-1-0-1"},
        "HostConfig": {"Binds": ["/data:/data:ro"], "Memory": 67108864, "Privileged": True},
        "NetworkingConfig": {"EndpointsConfig": {"inner": {}}},
    }
    (container,) = docker.daemon.containers.values()
    assert container.config["platform"] == "linux/arm64"


async def test_env_and_volumes_at_the_top_of_the_config_are_ignored(docker: Scene) -> None:
    await docker.end({**BUSYBOX, "env": ["A=1"], "volumes": ["/a:/b"]}, "true")
    assert body_of(docker).keys() == {"Image", "Cmd", "Labels", "HostConfig"}


async def test_a_container_stays_after_its_end(docker: Scene) -> None:
    await docker.end(BUSYBOX, "true")
    (container,) = docker.daemon.containers.values()
    assert container.status == "exited"


@pytest.mark.parametrize("config", [{"autoRemove": "true"}, {"host": {"autoRemove": True}}])
async def test_a_container_that_is_to_be_removed_is_once_its_end_is_known(
    docker: Scene, config: dict[str, Any]
) -> None:
    outcome = await docker.end({**BUSYBOX, **config}, *SH, "echo out; exit 3")
    assert (outcome.exit_code, docker.out, docker.daemon.containers) == (3, "out\n", {})
    (removed,) = docker.daemon.removed
    assert "AutoRemove" not in removed.host


async def test_a_container_gets_the_name_it_is_given(docker: Scene) -> None:
    await docker.end({**BUSYBOX, "containerName": "mine"}, "true")
    assert docker.daemon.named("mine").status == "exited"


async def test_the_ended_container_of_an_earlier_step_makes_room_for_its_name(docker: Scene) -> None:
    await docker.end({**BUSYBOX, "containerName": "mine"}, "true")
    first = docker.daemon.named("mine")
    docker.files.path("started").unlink()
    await docker.end({**BUSYBOX, "containerName": "mine"}, "false")
    assert (docker.daemon.removed, docker.daemon.named("mine").body["Cmd"]) == ([first], ["false"])


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"autoRemove": True}, "docker: image: is missing; name an image, or the containerName of a container that"),
        ({**BUSYBOX, "exec": {"user": "x"}}, "docker: exec: can only be combined with containerName"),
        ({**BUSYBOX, "pull": "sometimes"}, "docker: pull: expected always, missing, never, true or false"),
        ({**BUSYBOX, "pull": 1}, "docker: pull: expected always, missing, never, true or false"),
        ({**BUSYBOX, "host": ["a"]}, "docker: host: expected a map of the Docker API's fields"),
        ({**BUSYBOX, "host": {"memory": "much"}}, "docker: host: memory: expected a whole number"),
        ({**BUSYBOX, "container": {"tty": "maybe"}}, "docker: container: tty: expected true or false"),
        ({**BUSYBOX, "container": {"labels": ["a"]}}, "docker: container: labels: expected a map of texts"),
        ({"containerName": "x", "exec": "root"}, "docker: exec: expected a map with user, workingDir, env"),
        ({}, "docker: neither the step nor its DAG names a container"),
    ],
)
async def test_an_invalid_config_is_reported_by_its_key(docker: Scene, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SetupError) as raised:
        await docker.end(config, "true")
    assert sentence in str(raised.value)


async def test_a_refusal_is_reported_with_the_daemons_message(docker: Scene) -> None:
    outcome = await docker.end({**BUSYBOX, "host": {"binds": ["/a:/b:sometimes"]}}, "true")
    assert outcome == Outcome(exit_code=1, error="the container could not be created: invalid mode: sometimes")


# -- images ----------------------------------------------------------------------------------------------------------


async def test_a_missing_image_is_pulled(docker: Scene) -> None:
    docker.daemon.registry["tool:2"] = Image(Cmd=["echo", "pulled"])
    assert (await docker.end({"image": "tool:2"}), docker.out) == (Outcome(exit_code=0), "pulled\n")


async def test_an_image_that_is_here_is_not_pulled(docker: Scene) -> None:
    await docker.end(BUSYBOX, "true")
    assert docker.daemon.pulls == []


@pytest.mark.parametrize("pull", ["always", True, "true"])
async def test_an_image_that_is_here_is_pulled_when_it_always_is(docker: Scene, pull: object) -> None:
    docker.daemon.registry["busybox:latest"] = Image(Entrypoint=["echo", "new"])
    await docker.end({**BUSYBOX, "pull": pull}, "one")
    assert docker.out == "new one\n"


@pytest.mark.parametrize("pull", ["never", False, "0"])
async def test_a_missing_image_that_may_not_be_pulled_is_reported(docker: Scene, pull: object) -> None:
    docker.daemon.registry["tool:2"] = Image()
    outcome = await docker.end({"image": "tool:2", "pull": pull}, "true")
    assert outcome.error == "image 'tool:2' is not here, and may not be pulled (pull policy: never)"
    assert docker.daemon.pulls == []


async def test_an_image_of_another_platform_does_not_count_as_here(docker: Scene) -> None:
    docker.daemon.registry["busybox:latest"] = Image(platform="linux/arm64")
    assert (await docker.end({**BUSYBOX, "platform": "linux/arm64/v8"}, "true")).exit_code == 0
    assert [pull["platform"] for pull in docker.daemon.pulls] == ["linux/arm64/v8"]


async def test_an_unknown_image_is_reported(docker: Scene) -> None:
    outcome = await docker.end({"image": "nowhere:1"}, "true")
    assert outcome.exit_code == 1
    assert outcome.error.startswith("image 'nowhere:1' could not be pulled: pull access denied for nowhere:1")


async def test_credentials_of_the_dag_open_a_registry(docker: Scene) -> None:
    docker.daemon.registry["registry.example:5000/tool:2"] = Image(auth=("ann", "pass"), Cmd=["true"])
    shared = docker.shared(registry_auths={"registry.example:5000": {"username": "ann", "password": "pass"}})
    assert (await docker.end({"image": "registry.example:5000/tool:2"}, shared=shared)).exit_code == 0


async def test_credentials_for_an_image_of_the_hub_find_it_though_its_name_has_no_host(docker: Scene) -> None:
    docker.daemon.registry["ann/tool:latest"] = Image(auth=("ann", "pass"), Cmd=["true"])
    shared = docker.shared(registry_auths={"docker.io": {"username": "ann", "password": "pass"}})
    assert (await docker.end({"image": "ann/tool"}, shared=shared)).exit_code == 0


async def test_a_pull_that_fails_half_way_is_reported(docker: Scene) -> None:
    docker.daemon.registry["registry.example/tool:2"] = Image(auth=("ann", "pass"))
    outcome = await docker.end({"image": "registry.example/tool:2"}, "true")
    assert outcome.error == "image 'registry.example/tool:2' could not be pulled: unauthorized: login required"


# -- the daemon itself -----------------------------------------------------------------------------------------------


async def test_a_missing_daemon_is_reported_with_its_address(docker: Scene, tmp_path: Path) -> None:
    shared = docker.shared(docker={"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    with pytest.raises(SetupError) as caught:  # recorded with exit code 0
        await docker.end(BUSYBOX, "true", shared=shared)
    message = f"no Docker daemon answers at unix://{tmp_path}/none.sock; start it, or name another one in DOCKER_HOST"
    assert str(caught.value) == message


async def test_an_address_without_a_known_scheme_is_an_error(docker: Scene) -> None:
    with pytest.raises(SetupError, match="DOCKER_HOST: 'ssh://box' is not the address of a Docker daemon"):
        await docker.end(BUSYBOX, "true", shared=docker.shared(docker={"DOCKER_HOST": "ssh://box"}))


@pytest.mark.parametrize("address", ["tcp://", "unix://", "tcp://box:port", "tcp://:2375"])
async def test_an_incomplete_address_is_an_error(docker: Scene, address: str) -> None:
    with pytest.raises(SetupError, match=f"DOCKER_HOST: '{address}' is not the address of a Docker daemon"):
        await docker.end(BUSYBOX, "true", shared=docker.shared(docker={"DOCKER_HOST": address}))


async def test_a_password_in_the_address_is_not_reported(docker: Scene) -> None:
    shared = docker.shared(docker={"DOCKER_HOST": "tcp://me:hush@127.0.0.1:1"})
    with pytest.raises(SetupError, match=r"^no Docker daemon answers at tcp://127.0.0.1:1; start it"):
        await docker.end(BUSYBOX, "true", shared=shared)


async def test_an_image_of_another_platform_is_reported_with_the_platform(docker: Scene) -> None:
    outcome = await docker.end({**BUSYBOX, "platform": "linux/arm64", "pull": "never"}, "true")
    assert outcome.error == "image 'busybox' is not here for linux/arm64, and may not be pulled (pull policy: never)"


async def test_a_refusal_in_podmans_form_is_reported_with_its_message(docker: Scene) -> None:
    docker.daemon.words = '{"message": "lookup registry.example: no such host"}'
    outcome = await docker.end({"image": "registry.example/tool:2"}, "true")
    assert outcome.error == "image 'registry.example/tool:2' could not be pulled: lookup registry.example: no such host"


async def test_missing_certificates_are_reported(docker: Scene, tmp_path: Path) -> None:
    variables = {"DOCKER_HOST": "tcp://127.0.0.1:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)}
    with pytest.raises(SetupError, match=r"DOCKER_CERT_PATH: ca\.pem, cert\.pem and key\.pem in"):
        await docker.end(BUSYBOX, "true", shared=docker.shared(docker=variables))


async def test_a_step_goes_on_while_the_daemon_is_restarted(docker: Scene, tmp_path: Path) -> None:
    running = docker.begin(BUSYBOX, *SH, f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late")
    await until_written(docker.files.stdout)
    await docker.daemon.stop()
    await docker.daemon.start()
    (tmp_path / "go").touch()
    assert (await running.wait(), docker.out) == (Outcome(exit_code=0), "early\nlate\n")


async def test_a_daemon_that_does_not_come_back_leaves_the_step_failed(
    docker: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setattr("dagbook.executors.docker.step_container._RESTART_SECONDS", 0)
    async with standing_in(tmp_path_factory.mktemp("gone")) as daemon:
        scene = Scene.of(daemon, docker.files)
        running = scene.begin(BUSYBOX, *SH, "echo on; sleep 60")
        await until_written(docker.files.stdout)
        await daemon.stop()
        outcome = await running.wait()
    assert (outcome.exit_code, outcome.error.partition(";")[0]) == (1, f"no Docker daemon answers at {daemon.address}")


async def test_a_container_that_somebody_removes_leaves_the_outcome_unknown(docker: Scene) -> None:
    running = docker.begin(BUSYBOX, *SH, WAITING)
    await until_written(docker.files.stdout)
    await docker.daemon.remove_all()
    assert (await running.wait()).error == "the container was removed while the step ran: its outcome is unknown"


# -- stops -----------------------------------------------------------------------------------------------------------


async def test_a_stop_sends_its_signal_and_the_exit_code_is_that_of_the_container(docker: Scene) -> None:
    running = docker.begin(BUSYBOX, *SH, "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done")
    await until_written(docker.files.stdout, "ready")
    running.signal("SIGINT")
    assert (await running.wait()).exit_code == 7
    assert docker.out == "ready\nbye\n"


async def test_a_container_that_does_not_heed_the_signal_is_killed_by_the_next(docker: Scene) -> None:
    running = docker.begin({**BUSYBOX, "autoRemove": True}, *SH, "trap '' TERM; echo $$; while :; do sleep 0.01; done")
    pid = int(await until_written(docker.files.stdout))
    running.signal("SIGTERM")
    running.kill()
    assert await running.wait() == Outcome(exit_code=137, error="exit status 137")
    await until_gone(pid)
    assert docker.daemon.containers == {}


async def test_a_container_that_does_not_even_heed_sigkill_is_removed(
    docker: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.executors.cancellation._LAST_SECONDS", 0.1)
    running = docker.begin(BUSYBOX, *SH, WAITING)
    pid = int(await until_written(docker.files.stdout))
    next(iter(docker.daemon.containers.values())).deaf = True
    running.kill()
    assert await running.wait() == Outcome(exit_code=None, error="stopped")
    await until_gone(pid)


async def test_a_stop_before_the_start_leaves_no_container(docker: Scene) -> None:
    docker.daemon.registry["tool:2"] = Image(slow=True)
    running = docker.begin({"image": "tool:2"}, "true")
    await docker.daemon.pulling.wait()
    running.signal("SIGTERM")
    assert (await running.wait(), docker.daemon.containers) == (Outcome(exit_code=None, error="stopped"), {})


async def test_a_stop_while_the_container_is_started_reaches_it(docker: Scene) -> None:
    docker.daemon.before_start.clear()
    running = docker.begin(BUSYBOX, *SH, WAITING)
    await docker.daemon.starting.wait()
    running.signal("SIGTERM")
    docker.daemon.before_start.set()
    assert (await running.wait()).exit_code == 143


async def test_a_container_whose_log_cannot_be_read_has_an_exit_code(docker: Scene) -> None:
    outcome = await docker.end({**BUSYBOX, "host": {"logConfig": {"type": "none"}}}, *SH, "echo out; exit 4")
    assert (outcome.exit_code, docker.out) == (4, "")
    assert "the log of the container cannot be read: configured logging driver does not" in docker.err


# -- servers one after the other -------------------------------------------------------------------------------------


async def detach(running: Any) -> None:
    running.detach()
    await running.wait()


async def test_the_next_server_goes_on_where_the_output_was_left(docker: Scene, tmp_path: Path) -> None:
    text = f"echo 1; echo a >&2; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo 2; echo b >&2; exit 5"
    docker.files.stdout.write_text("of an execution before it\n")
    first = docker.begin(BUSYBOX, *SH, text)
    await until_written(docker.files.stdout, "1\n")
    await until_written(docker.files.stderr, "a\n")
    await detach(first)
    (tmp_path / "go").touch()
    await docker.daemon.containers[next(iter(docker.daemon.containers))].command.ended.wait()
    assert (await docker.adopt().wait()).exit_code == 5
    assert (docker.out, docker.err) == ("of an execution before it\n1\n2\n", "a\nb\n")


async def test_an_adopted_container_can_be_stopped_and_is_removed(docker: Scene) -> None:
    first = docker.begin({**BUSYBOX, "autoRemove": True}, *SH, WAITING)
    pid = int(await until_written(docker.files.stdout))
    await detach(first)
    second = docker.adopt()
    second.signal("SIGTERM")
    assert (await second.wait()).exit_code == 143
    await until_gone(pid)
    assert docker.daemon.containers == {}


async def test_a_container_that_was_made_and_not_started_is_started_by_the_next_server(docker: Scene) -> None:
    docker.daemon.before_start.clear()
    first = docker.begin(BUSYBOX, *SH, "echo once")
    await docker.daemon.starting.wait()
    await detach(first)
    docker.daemon.before_start.set()
    assert (await docker.adopt().wait(), docker.out) == (Outcome(exit_code=0), "once\n")


async def test_an_end_that_was_noted_before_the_container_was_removed_is_taken(docker: Scene) -> None:
    await docker.end({**BUSYBOX, "autoRemove": True}, *SH, "exit 6")
    assert (await docker.adopt().wait()).exit_code == 6


async def test_what_a_server_made_that_died_before_it_could_note_it_is_removed(docker: Scene) -> None:
    await docker.end(BUSYBOX, "true")
    docker.files.note.unlink()
    docker.files.path("started").unlink()
    await docker.end(BUSYBOX, "false")
    assert (len(docker.daemon.containers), len(docker.daemon.removed)) == (1, 1)


async def test_the_note_contains_no_credentials(docker: Scene) -> None:
    variables = {"DOCKER_HOST": docker.daemon.address, "DOCKER_AUTH_CONFIG": '{"auths": {}}'}
    await docker.end(BUSYBOX, "true", shared=docker.shared(docker=variables))
    assert b"auths" not in docker.files.note.read_bytes()
    assert docker.files.note.stat().st_mode & 0o777 == 0o600


async def test_an_abandoned_execution_is_killed(docker: Scene) -> None:
    first = docker.begin(BUSYBOX, *SH, WAITING)
    pid = int(await until_written(docker.files.stdout))
    await detach(first)
    await docker.abandon()
    await until_gone(pid)
