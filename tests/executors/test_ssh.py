"""Steps on another machine, against a real SSH server on loopback (DAG format 4.5)."""

from __future__ import annotations

import asyncio
import fcntl
import hmac
import os
import resource
import shutil
import signal
import socket
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from dagbook.executors import in_process, registry
from dagbook.executors.contract import ExecutionFiles, Job, Outcome, SetupError, SharedConfig, SshPolicy
from dagbook.executors.in_process import InProcessExecution
from dagbook.executors.ssh.connection import Login
from dagbook.executors.ssh.known_hosts import Note, add_notes, name_of
from dagbook.spec.model import CommandLine, Ssh
from tests.executors.ssh_server import PASSWORD, USER, SshServer, serving
from tests.waiting import until_gone, until_written


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SshServer]:
    async with serving(tmp_path_factory.mktemp("ssh")) as running:
        yield running


def begin(files: ExecutionFiles, config: dict[str, Any], *command: str, **job: Any) -> InProcessExecution:
    settings = {"env": {"HOME": str(files.directory)}, "cwd": files.directory, **job}
    program, *args = command or ("true",)
    made = Job(type="ssh", id="r-7-1-0-1", program=program, args=tuple(args), config=config, **settings)
    return in_process.start(registry.find("ssh").run(), made, files)


def address(server: SshServer) -> str:
    return f"127.0.0.1:{server.port}"


async def end(files: ExecutionFiles, config: dict[str, Any], *command: str, **job: Any) -> Outcome:
    return await begin(files, config, *command, **job).wait()


# -- what the command gets and gives ---------------------------------------------------------------------------------


async def test_both_streams_of_the_remote_command_are_kept_apart(files: ExecutionFiles, server: SshServer) -> None:
    outcome = await end(files, server.config, "echo", "out;", "echo", "err", ">&2")
    assert (outcome.exit_code, outcome.error) == (0, "")
    assert (files.stdout.read_text(), files.stderr.read_text()) == ("out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 255])
async def test_the_exit_code_is_the_remote_status(files: ExecutionFiles, server: SshServer, code: int) -> None:
    assert (await end(files, server.config, "exit", str(code))).exit_code == code


async def test_the_remote_line_is_the_words_joined_by_single_blanks(files: ExecutionFiles, server: SshServer) -> None:
    await end(files, server.config, "printf", "'%s|'", "a  b", "$((1+1))")
    assert files.stdout.read_text() == "a|b|2|"


async def test_no_variable_of_the_step_goes_along(files: ExecutionFiles, server: SshServer) -> None:
    env = {"HOME": str(files.directory), "LC_MINE": "secret"}
    await end(files, server.config, "echo", "[$LC_MINE]", env=env)
    assert files.stdout.read_text() == "[]\n"


async def test_output_is_there_while_the_command_runs(files: ExecutionFiles, server: SshServer, tmp_path: Path) -> None:
    running = begin(files, server.config, f"echo early; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done; echo late")
    assert await until_written(files.stdout) == "early\n"
    (tmp_path / "go").touch()
    assert (await running.wait()).exit_code == 0
    assert files.stdout.read_text() == "early\nlate\n"


async def test_binary_and_large_output_arrive_complete(files: ExecutionFiles, server: SshServer) -> None:
    await end(files, server.config, r"printf '\377\000'; yes | head -c 3000000")
    data = files.stdout.read_bytes()
    assert (data[:2], len(data)) == (b"\xff\x00", 3_000_002)


async def test_a_command_that_a_signal_ends_has_minus_one(files: ExecutionFiles, server: SshServer) -> None:
    outcome = await end(files, server.config, "kill -USR1 $$")
    assert (outcome.exit_code, outcome.error) == (-1, "signal: SIGUSR1")


async def test_a_step_without_a_command_fails_before_anybody_is_asked(files: ExecutionFiles) -> None:
    job = Job(type="ssh", id="x", script="echo", config={"host": "127.0.0.1", "user": "x"}, cwd=files.directory)
    with pytest.raises(SetupError, match="no command; a script does not run on another machine"):
        await in_process.start(registry.find("ssh").run(), job, files).wait()


async def test_several_lines_run_one_after_another_until_one_fails(files: ExecutionFiles, server: SshServer) -> None:
    lines = "echo 'a  b' | tr a z; X=1", "echo [$X]; exit 7", "echo c"
    following = tuple(CommandLine(line, "") for line in lines)
    outcome = await end(files, server.config, "echo", "first", line="echo first", as_written=True, following=following)
    assert (outcome.exit_code, outcome.error) == (7, "line 3: exit status 7")
    assert files.stdout.read_text() == "first\nz  b\n[]\n"


@pytest.mark.parametrize(
    ("config", "shared", "step", "expected"),
    [
        ({"shell": "/bin/bash -e"}, (), (), ["/bin/bash", "-e", "-c"]),
        ({"shell": ["/bin/sh", "-c"]}, (), (), ["/bin/sh", "-c"]),
        ({}, (), ("/bin/sh",), ["/bin/sh", "-c"]),
        (None, ("/bin/bash",), ("/bin/sh",), ["/bin/bash", "-c"]),
        (None, (), ("/bin/sh",), ["/bin/sh", "-c"]),
    ],
)
async def test_a_shell_gets_the_line_as_written(
    files: ExecutionFiles,
    server: SshServer,
    config: dict[str, Any] | None,
    shared: tuple[str, ...],
    step: tuple[str, ...],
    expected: list[str],
) -> None:
    login = {name: str(value) for name, value in server.config.items()}
    ssh = Ssh(user=USER, host="127.0.0.1", port=login["port"], key=login["key"], strict_host_key=False, shell=shared)
    given = {} if config is None else {**server.config, **config}
    line = "printf '%s,' x 'y  z'; tr '\\0' ' ' </proc/$$/cmdline"
    outcome = await end(files, given, "printf", line=line, shell=step, shared=SharedConfig(ssh=ssh))
    assert (outcome.exit_code, outcome.error) == (0, "")
    assert files.stdout.read_text() == " ".join(["x,y  z," + expected[0], *expected[1:], line]) + " "


# -- where and as whom -----------------------------------------------------------------------------------------------


async def test_a_password_logs_in(files: ExecutionFiles, server: SshServer) -> None:
    config = {"ip": "127.0.0.1", "port": str(server.port), "user": USER, "password": PASSWORD}
    assert (await end(files, config)).exit_code == 0


@pytest.mark.parametrize("name", ["id_rsa", "id_ecdsa", "id_ed25519"])
async def test_a_default_key_is_found_when_there_is_no_password(
    files: ExecutionFiles, server: SshServer, name: str, tmp_path: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    shutil.copy(server.key, tmp_path / ".ssh" / name)
    config = {"host": "127.0.0.1", "port": server.port, "user": USER}
    assert (await end(files, config)).exit_code == 0


async def test_a_key_in_the_home_directory_is_found(files: ExecutionFiles, server: SshServer, tmp_path: Path) -> None:
    shutil.copy(server.key, tmp_path / "mine")
    assert (await end(files, {**server.config, "key": "~/mine"})).exit_code == 0


async def test_the_ssh_of_the_dag_is_the_default(files: ExecutionFiles, server: SshServer) -> None:
    ssh = Ssh(
        host="127.0.0.1", port=str(server.port), user=USER, key=str(server.key), known_host_file=str(server.known_hosts)
    )
    assert (await end(files, {}, shared=SharedConfig(ssh=ssh))).exit_code == 0


async def test_the_ssh_of_the_dag_wants_a_known_host(files: ExecutionFiles, server: SshServer, tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").touch()
    ssh = Ssh(host="127.0.0.1", port=str(server.port), user=USER, key=str(server.key))
    outcome = await end(files, {}, shared=SharedConfig(ssh=ssh))
    assert (outcome.exit_code, "is not in" in outcome.error) == (1, True)


async def test_a_config_of_the_step_replaces_all_of_the_ssh_of_the_dag(
    files: ExecutionFiles, server: SshServer
) -> None:
    ssh = Ssh(host="127.0.0.1", port=str(server.port), user=USER, key=str(server.key))
    with pytest.raises(SetupError, match="neither a key nor a password"):
        await end(files, {"HOST": "127.0.0.1", "user": USER}, shared=SharedConfig(ssh=ssh))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "neither the step nor its DAG names a host"),
        ({"user": "x"}, "ssh: host: is missing"),
        ({"host": "h"}, "ssh: user: is missing"),
        ({"host": "h", "user": "x", "port": "ssh"}, "ssh: port: expected a whole number"),
        ({"host": "h", "user": "x", "port": 70000}, "ssh: port: expected 65535 or less"),
        ({"host": "h", "user": "x", "key": "none"}, "none could not be read: No such file"),
        ({"host": "h", "user": "x", "password": "p", "strictHostKey": True}, "known_hosts could not be read"),
        (
            {"host": "h", "user": "x", "password": "p", "strictHostKey": "maybe"},
            "strictHostKey: expected true or false",
        ),
    ],
)
async def test_an_invalid_config_is_reported_by_its_key(
    files: ExecutionFiles, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SetupError) as raised:
        await end(files, config)
    assert sentence in str(raised.value)


async def test_a_key_with_a_passphrase_is_refused_with_the_reason(files: ExecutionFiles, server: SshServer) -> None:
    key = files.directory / "locked"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key, "pkcs8-pem", passphrase="x")  # noqa: S106
    with pytest.raises(SetupError, match="locked needs a passphrase; use a key without one"):
        await end(files, {**server.config, "key": str(key)})


async def test_a_file_that_is_no_key_is_refused(files: ExecutionFiles, server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hello")
    with pytest.raises(SetupError, match="key is not a readable private key"):
        await end(files, {**server.config, "key": str(tmp_path / "key")})


# -- who does not let us in ------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_reported(files: ExecutionFiles, server: SshServer, tmp_path: Path) -> None:
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "other")
    outcome = await end(files, {**server.config, "key": str(tmp_path / "other")})
    assert outcome.exit_code == 1
    assert outcome.error == f"{address(server)} did not let 'worker' in: the key is not accepted there"


async def test_a_wrong_password_is_reported(files: ExecutionFiles, server: SshServer) -> None:
    config = {"host": "127.0.0.1", "port": server.port, "user": USER, "password": "guess"}
    assert "did not let 'worker' in: the password is not accepted" in (await end(files, config)).error


async def test_an_unknown_host_key_is_reported_with_the_fix(
    files: ExecutionFiles, server: SshServer, tmp_path: Path
) -> None:
    (tmp_path / "hosts").touch()
    outcome = await end(files, {**server.config, "knownHostFile": "hosts"})
    assert outcome.error.startswith(f"the host key of {address(server)} is not in {tmp_path}/hosts; write it there")


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_host_key_is_no_unknown_one(
    files: ExecutionFiles, server: SshServer, tmp_path: Path, algorithm: str
) -> None:
    other = asyncssh.generate_private_key(algorithm).export_public_key().decode()
    (tmp_path / "hosts").write_text(f"[127.0.0.1]:{server.port} {other}")
    outcome = await end(files, {**server.config, "knownHostFile": str(tmp_path / "hosts")})
    assert f"is not the one in {tmp_path}/hosts: the machine was replaced" in outcome.error


async def test_the_host_key_is_checked_only_with_strict_host_key(files: ExecutionFiles, server: SshServer) -> None:
    config = {name: value for name, value in server.config.items() if name not in ("strictHostKey", "knownHostFile")}
    assert (await end(files, config)).exit_code == 0


@pytest.mark.parametrize(
    ("policy", "given", "checked"),
    [
        (None, None, False),
        (True, None, True),
        (True, False, False),
        (False, True, True),
    ],
)
async def test_the_server_has_a_default_for_what_the_definition_does_not_say(
    files: ExecutionFiles, server: SshServer, tmp_path: Path, policy: bool | None, given: bool | None, checked: bool
) -> None:
    (tmp_path / "hosts").touch()
    config = {**server.config, "knownHostFile": "hosts", "strictHostKey": given}
    outcome = await end(files, config, shared=SharedConfig(ssh_policy=SshPolicy(strict=policy)))
    assert ("is not in" in outcome.error) is checked


async def test_the_default_of_the_server_counts_for_the_ssh_of_a_dag_too(
    files: ExecutionFiles, server: SshServer
) -> None:
    ssh = Ssh(host="127.0.0.1", port=str(server.port), user=USER, key=str(server.key))
    shared = SharedConfig(ssh=ssh, ssh_policy=SshPolicy(strict=False))
    assert (await end(files, {}, shared=shared)).exit_code == 0


# -- trust on first use ----------------------------------------------------------------------------------------------


ACCEPT_NEW = SharedConfig(ssh_policy=SshPolicy(accept_new=True))


def by_password(server: SshServer, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.port, "user": USER, "password": PASSWORD, **more}


def known_hosts(files: ExecutionFiles, text: str = "") -> Path:
    """The file of the account, with a text if there is one."""
    path = files.directory / ".ssh" / "known_hosts"
    if text:
        path.parent.mkdir()
        path.write_text(text)
    return path


def new_key(algorithm: str = "ssh-ed25519") -> str:
    return asyncssh.generate_private_key(algorithm).export_public_key().decode().strip()


async def test_the_first_key_of_a_host_is_appended_to_the_file_and_accepted_from_then_on(
    files: ExecutionFiles, server: SshServer
) -> None:
    assert (await end(files, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    path = known_hosts(files)
    assert path.read_text() == server.known_hosts.read_text()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    again = ExecutionFiles(files.base + ".again", files.stdout, files.stderr)
    assert (await end(again, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    assert path.read_text() == server.known_hosts.read_text()


async def test_what_is_in_the_file_stays_and_a_last_line_without_its_end_is_ended(
    files: ExecutionFiles, server: SshServer
) -> None:
    path = known_hosts(files, f"# mine\nother.example {new_key()}")
    before = path.read_text()
    assert (await end(files, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    assert path.read_text() == f"{before}\n{server.known_hosts.read_text()}"


async def test_the_file_of_the_setting_and_that_of_the_definition_come_first(
    files: ExecutionFiles, server: SshServer, tmp_path: Path
) -> None:
    of_setting = SshPolicy(accept_new=True, known_hosts=str(tmp_path / "setting"))
    for config, name in ((by_password(server), "setting"), (by_password(server, knownHostFile="own"), "own")):
        run = ExecutionFiles(f"{files.base}.{name}", files.stdout, files.stderr)
        assert (await end(run, config, shared=SharedConfig(ssh_policy=of_setting))).exit_code == 0
        assert (tmp_path / name).read_text() == server.known_hosts.read_text()
    assert not known_hosts(files).exists()


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_host_with_another_key_gets_no_password(files: ExecutionFiles, tmp_path: Path, algorithm: str) -> None:
    async with serving(tmp_path) as server:
        path = known_hosts(files, before := f"[127.0.0.1]:{server.port} {new_key(algorithm)}\n")
        outcome = await end(files, by_password(server), shared=ACCEPT_NEW)
        assert server.passwords == []
    assert outcome.error == (
        f"the host key of {address(server)} is not the one in {path}: the machine was replaced, or "
        "the connection is intercepted; correct the file if you know why"
    )
    assert path.read_text() == before


@pytest.mark.parametrize("algorithm", ["ssh-rsa", "ecdsa-sha2-nistp256"])
async def test_a_host_that_gets_one_more_key_is_still_the_same(
    files: ExecutionFiles, tmp_path: Path, algorithm: str
) -> None:
    keys = [asyncssh.generate_private_key(name) for name in ("ssh-ed25519", algorithm)]
    async with serving(tmp_path, host_keys=keys) as server:
        known_hosts(files, f"[127.0.0.1]:{server.port} {keys[1].export_public_key().decode()}")
        assert (await end(files, by_password(server), shared=ACCEPT_NEW)).exit_code == 0


async def test_a_hashed_name_is_known_and_a_revoked_key_is_refused(files: ExecutionFiles, server: SshServer) -> None:
    name, (_, key) = f"[127.0.0.1]:{server.port}", server.known_hosts.read_text().split(maxsplit=1)
    salt = b"salt of the tests..."
    hashed = "|1|" + "|".join(b64encode(part).decode() for part in (salt, hmac.digest(salt, name.encode(), "sha1")))
    path = known_hosts(files, before := f"{hashed} {key}")
    assert (await end(files, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    assert path.read_text() == before
    path.write_text(before := f"@revoked * {key}")
    again = ExecutionFiles(files.base + ".again", files.stdout, files.stderr)
    outcome = await end(again, by_password(server), shared=ACCEPT_NEW)
    assert outcome.error == f"the host key of {name} is revoked in {path}"
    assert path.read_text() == before


async def test_the_same_host_with_another_port_is_another_one(files: ExecutionFiles, server: SshServer) -> None:
    path = known_hosts(files, f"127.0.0.1 {new_key()}\n")
    assert (await end(files, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    assert server.known_hosts.read_text() in path.read_text()


async def test_a_name_in_capitals_is_the_same_host(files: ExecutionFiles, server: SshServer) -> None:
    for number in range(2):
        run = ExecutionFiles(f"{files.base}.{number}", files.stdout, files.stderr)
        config = by_password(server, host="LocalHost")
        assert (await end(run, config, shared=ACCEPT_NEW)).exit_code == 0
    assert [line.split()[0] for line in known_hosts(files).read_text().splitlines()] == [f"[localhost]:{server.port}"]


def test_a_point_at_the_end_of_a_name_makes_no_other_host() -> None:
    login = Login(host="Build.Example.", port=22, user=USER, key=None, password=PASSWORD, accept_new=True)
    assert {login.known_as, name_of("Build.Example.", 22), name_of("build.example", 22)} == {"build.example"}


@pytest.mark.parametrize("strict", [True, False])
async def test_a_definition_that_says_strict_or_not_is_taken_at_its_word(
    files: ExecutionFiles, server: SshServer, tmp_path: Path, strict: bool
) -> None:
    (tmp_path / "hosts").touch()
    config = by_password(server, knownHostFile="hosts", strictHostKey=strict)
    assert (await end(files, config, shared=ACCEPT_NEW)).exit_code == int(strict)
    assert (tmp_path / "hosts").read_text() == ""


@pytest.mark.parametrize("host", ["x" * 300, "a b", "a\n* ssh-ed25519 AAAA", "*", "a,b", "|1|a|b", "!a", "#a", "@a"])
async def test_a_host_name_that_is_a_text_is_refused_before_it_is_looked_up(files: ExecutionFiles, host: str) -> None:
    config = {"host": host, "user": USER, "password": PASSWORD}
    with pytest.raises(SetupError, match="is not the name or address of a machine"):
        await end(files, config, shared=ACCEPT_NEW)


async def test_a_first_key_that_cannot_be_kept_is_not_accepted(files: ExecutionFiles, server: SshServer) -> None:
    (files.directory / ".ssh").write_text("no directory")
    with pytest.raises(SetupError, match="known_hosts could not be written: "):
        await end(files, by_password(server), shared=ACCEPT_NEW)


async def test_a_file_that_another_program_has_locked_is_waited_for_without_holding_up_the_server(
    files: ExecutionFiles, server: SshServer
) -> None:
    path = known_hosts(files, "# mine\n")
    with path.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        threading.Timer(1, fcntl.flock, (locked, fcntl.LOCK_UN)).start()
        running, longest = asyncio.create_task(end(files, by_password(server), shared=ACCEPT_NEW)), 0.0
        while not running.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)
        assert (await running).exit_code == 0
    assert longest < 0.5
    assert path.read_text() == f"# mine\n{server.known_hosts.read_text()}"


async def test_a_file_that_stays_locked_fails_the_step(
    files: ExecutionFiles, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.executors.ssh.known_hosts._LOCK_SECONDS", 0.1)
    with known_hosts(files, "# mine\n").open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        with pytest.raises(SetupError, match="could not be written: another program has locked it"):
            await end(files, by_password(server), shared=ACCEPT_NEW)


def test_a_line_that_a_full_disk_cuts_off_is_taken_away_again(files: ExecutionFiles) -> None:
    path = known_hosts(files, before := "# mine\n")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            add_notes(path, [Note("other.example", "ssh-rsa", "SHA256:o")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert path.read_text() == before
    assert add_notes(path, [Note("other.example", "ssh-rsa", "SHA256:o")]) == 1


@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "ssh-rsa"])
async def test_a_note_of_a_fingerprint_counts_for_the_first_connection(
    files: ExecutionFiles, server: SshServer, algorithm: str
) -> None:
    name = f"[127.0.0.1]:{server.port}"
    path = known_hosts(files)
    assert add_notes(path, [Note("other.example", "ssh-rsa", "SHA256:o"), Note(name, algorithm, "SHA256:x")]) == 2
    outcome = await end(files, by_password(server), shared=ACCEPT_NEW)
    assert f"is not that of the line '# dagbook: {name} {algorithm} SHA256:x' in {path}" in outcome.error
    path.unlink()
    add_notes(path, [Note(name, "ssh-ed25519", server.fingerprints["ssh-ed25519"])])
    again = ExecutionFiles(files.base + ".again", files.stdout, files.stderr)
    assert (await end(again, by_password(server), shared=ACCEPT_NEW)).exit_code == 0
    assert path.read_text().splitlines()[1:] == server.known_hosts.read_text().splitlines()


# -- what cannot be reached ------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_reported(files: ExecutionFiles, server: SshServer) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        outcome = await end(files, {**server.config, "port": port})
    assert outcome.error == f"127.0.0.1:{port} refused the connection: no SSH server listens there"


async def test_an_unknown_host_is_reported(files: ExecutionFiles, server: SshServer) -> None:
    outcome = await end(files, {**server.config, "host": "no-such-host.invalid"})
    assert outcome.error.startswith("there is no host 'no-such-host.invalid'")


async def test_a_host_that_does_not_answer_is_given_up(
    files: ExecutionFiles, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagbook.executors.ssh.connection._CONNECT_SECONDS", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        outcome = await end(files, {**server.config, "port": port})
    assert outcome.error == f"127.0.0.1:{port} did not answer within 0.05 seconds"


async def test_a_connection_that_is_lost_leaves_the_outcome_unknown(files: ExecutionFiles, server: SshServer) -> None:
    running = begin(files, server.config, "echo $$; exec sleep 60")
    pid = int(await until_written(files.stdout))
    server.lose_connections()
    outcome = await running.wait()
    assert outcome.exit_code == 1
    assert (
        outcome.error
        == f"the connection to {address(server)} was lost before the command ended: its outcome is unknown"
    )
    os.kill(pid, signal.SIGKILL)
    await until_gone(pid)


# -- stops -----------------------------------------------------------------------------------------------------------


async def test_a_stop_sends_its_signal_and_the_exit_code_is_that_of_the_command(
    files: ExecutionFiles, server: SshServer
) -> None:
    running = begin(files, server.config, "trap 'echo bye; exit 7' INT; echo ready; while :; do sleep 0.01; done")
    await until_written(files.stdout, "ready")
    running.signal("SIGINT")
    assert (await running.wait()).exit_code == 7
    assert files.stdout.read_text() == "ready\nbye\n"


async def test_a_command_killed_by_the_signal_is_reported_as_such(files: ExecutionFiles, server: SshServer) -> None:
    running = begin(files, server.config, "echo ready; exec sleep 60")
    await until_written(files.stdout, "ready")
    running.signal("SIGTERM")
    assert await running.wait() == Outcome(exit_code=-1, error="signal: SIGTERM")


async def test_a_command_that_does_not_heed_the_signal_is_killed_by_the_next(
    files: ExecutionFiles, server: SshServer
) -> None:
    running = begin(files, server.config, "trap '' TERM; echo $$; while :; do sleep 0.01; done")
    pid = int(await until_written(files.stdout))
    running.signal("SIGTERM")
    running.kill()
    assert await running.wait() == Outcome(exit_code=None, error="stopped")
    await until_gone(pid)


async def test_a_kill_ends_the_command_at_once(files: ExecutionFiles, server: SshServer) -> None:
    running = begin(files, server.config, "echo $$; exec sleep 60")
    pid = int(await until_written(files.stdout))
    running.kill()
    assert (await running.wait()).exit_code is None
    await until_gone(pid)


async def test_a_stop_ends_the_wait_for_a_host_that_does_not_answer(files: ExecutionFiles, server: SshServer) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        running = begin(files, {**server.config, "port": silent.getsockname()[1]})
        silent.settimeout(10)
        connection, _ = await asyncio.to_thread(silent.accept)
        running.signal("SIGTERM")
        assert (await running.wait()).exit_code is None
        connection.close()


async def test_a_step_that_is_stopped_before_it_does_anything_has_an_end(
    files: ExecutionFiles, server: SshServer
) -> None:
    running = begin(files, server.config)
    running.signal("SIGTERM")
    assert (await running.wait()).exit_code is None
