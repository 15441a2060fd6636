"""Commands and files under another account (setting ``run_as``): what the kernel then refuses."""

from __future__ import annotations

import ast
import os
import pwd
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dagbook.executors.contract import Command, ExecutionFiles, Job, SetupError
from dagbook.executors.docker import engine
from dagbook.executors.mail import mail
from dagbook.executors.process import process
from dagbook.executors.shell import ShellTexts, build, make_directory, remove_script
from dagbook.executors.ssh import connection
from dagbook.runs.output.output_follower import Redirect
from dagbook.unix import unix_accounts
from dagbook.unix.unix_accounts import AccountError, files_as
from tests.process.waiting import wait_for

NAME = "nobody"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may switch users here")


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that the account cannot enter, with a file in it that it could read."""
    with tempfile.TemporaryDirectory(prefix="dagbook-test-") as folder:  # pytest's are closed at every level
        file = Path(folder, "key")
        file.write_text("KEY=hidden\n")
        file.chmod(0o644)
        yield Path(folder)


@pytest.fixture
def shared(closed: Path) -> Path:
    """A folder that the account may use."""
    closed.chmod(0o777)
    return closed


# -- which account ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no-such-account", "there is no account 'no-such-account' on this machine"),
        ("no\0account", "there is no account"),
        ("root", "'root' is root; name an account without privileges"),
    ],
)
def test_an_account_that_is_unknown_or_privileged_is_refused(name: str, reason: str) -> None:
    with pytest.raises(AccountError, match=reason):
        unix_accounts.find(name)


def test_another_name_of_root_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    root = pwd.getpwuid(0)
    monkeypatch.setattr(pwd, "getpwnam", lambda _: root)  # this machine has no second line with uid 0
    with pytest.raises(AccountError, match="'toor' is root"):
        unix_accounts.find("toor")


def test_the_account_of_the_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam(NAME).pw_uid)
    with pytest.raises(AccountError, match="is the account of the server, whose files it can read"):
        unix_accounts.find(NAME)


@needs_root
def test_a_server_that_may_not_switch_says_what_it_lacks() -> None:
    code = f"from dagbook.unix.unix_accounts import require; require({NAME!r})"
    command = ["setpriv", "--bounding-set=-kill,-setuid", "--inh-caps=-kill,-setuid", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "this server may not switch to 'nobody': it has no CAP_KILL, CAP_SETUID" in done.stderr


@needs_root
def test_a_home_that_the_account_can_enter_is_refused(closed: Path) -> None:
    unix_accounts.require_closed(NAME, closed)
    closed.chmod(0o711)
    with pytest.raises(AccountError, match=r"can enter the home of the server, .*; close it with chmod 700"):
        unix_accounts.require_closed(NAME, closed)


# -- commands --------------------------------------------------------------------------------------------------------


def _run(*argv: str, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    with unix_accounts.launch(argv, str(cwd), env or {}, NAME) as launch:
        return subprocess.run(
            launch.argv,
            env=launch.env,
            cwd=launch.cwd,
            pass_fds=launch.descriptors,
            capture_output=True,
            text=True,
            check=False,
        )


@needs_root
def test_a_command_has_the_ids_of_the_account_alone_and_no_capabilities(shared: Path) -> None:
    script = "id -u; id -G; pwd; grep -c 'Cap\\(Inh\\|Prm\\|Eff\\|Amb\\):.0*$' /proc/self/status"
    entry = pwd.getpwnam(NAME)
    groups = " ".join(map(str, os.getgrouplist(NAME, entry.pw_gid)))
    done = _run("sh", "-c", script, cwd=shared, env={"PATH": os.defpath})
    assert done.stdout.splitlines() == [str(entry.pw_uid), groups, str(shared), "4"]


@needs_root
def test_a_command_does_not_begin_where_the_account_may_not_be(closed: Path) -> None:
    done = _run("cat", "key", cwd=closed)
    assert (done.returncode, done.stdout) == (126, "")
    assert "ermission denied" in done.stderr or "can't cd" in done.stderr


@needs_root
def test_a_command_gets_its_variables_as_they_are(shared: Path) -> None:
    env = {
        "QUOTES": "a 'b' \"c\" `d` $e \\",
        "LINES": "one\ntwo\n",
        "LONG": "x" * 100_000,
        "BYTES": "\udcff",
        "UID": "5",
        "PATH": os.defpath,
    }
    odd = {"1": "an odd name", "a.b": "another one"}
    code = "import os, sys; sys.stdout.write(repr({k: v for k, v in os.environ.items() if k not in ('PWD', 'OLDPWD')}))"
    done = _run("/usr/bin/python3", "-I", "-c", code, cwd=shared, env=env | odd)
    assert {**ast.literal_eval(done.stdout), "_": "", "SHLVL": "", "LC_CTYPE": ""} == {
        **env,
        "_": "",
        "SHLVL": "",
        "LC_CTYPE": "",
    }


@needs_root
async def test_what_is_the_server_s_obeys_no_variable_of_the_definition(shared: Path, files: ExecutionFiles) -> None:
    env = {"LD_PRELOAD": "/nonexistent/hostile.so", "PATH": os.defpath}
    running = process.spawn(Command(argv=("sleep", "60"), cwd=shared, env=env, account=NAME), files)
    # A new process has none until its program is loaded.
    shim = wait_for("the environment", Path(f"/proc/{running.pid}/environ").read_bytes)
    running.kill()
    await running.wait()
    assert b"LD_PRELOAD" not in shim
    assert b"PATH" in shim


# -- files -----------------------------------------------------------------------------------------------------------


@needs_root
def test_files_are_opened_as_the_account_and_then_as_the_server_again(closed: Path) -> None:
    with files_as(NAME), pytest.raises(PermissionError):
        (closed / "key").read_text()
    assert (closed / "key").read_text() == "KEY=hidden\n"


@needs_root
def test_files_are_opened_as_the_server_again_after_an_error(closed: Path) -> None:
    with pytest.raises(ZeroDivisionError), files_as(NAME):
        raise ZeroDivisionError
    assert (closed / "key").read_text() == "KEY=hidden\n"


@needs_root
def test_other_threads_stay_what_they_are(closed: Path) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(lambda: None).result()  # a thread that is made below would begin with what its maker is
        with files_as(NAME):
            assert other.submit((closed / "key").read_text).result() == "KEY=hidden\n"


@needs_root
def test_output_of_a_step_is_no_redirect_of_another(tmp_path: Path) -> None:
    output = tmp_path / "7_1_0-a.out"
    output.touch()
    output.chmod(0o622)
    with output.open("a") as file, pytest.raises(PermissionError, match="the file is output of a step"):
        Redirect(Path(f"/proc/self/fd/{file.fileno()}"), tmp_path / "note", NAME)


@needs_root
def test_the_groups_of_the_server_open_nothing(closed: Path) -> None:
    closed.chmod(0o770)
    os.chown(closed, 0, 0)  # of a group that the server is in
    assert not unix_accounts.may_enter(closed, NAME)


@needs_root
def test_a_script_and_its_directory_belong_to_the_account(shared: Path, files: ExecutionFiles) -> None:
    texts = ShellTexts(script="true", shell=("/bin/sh",))  # noqa: S604 - nothing is run
    command = build(texts, cwd=shared / "a" / "b", env={}, files=files, account=NAME)
    script = Path(command.argv[-1])
    for path in (script, shared / "a" / "b"):
        status = path.stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (pwd.getpwnam(NAME).pw_uid, 0o750)
    remove_script(files, NAME)
    assert not script.exists()


@needs_root
def test_a_directory_is_not_made_where_the_account_may_not_write(closed: Path) -> None:
    with pytest.raises(SetupError, match=r"the working directory could not be made: .*Permission denied"):
        make_directory(closed / "new", NAME)
    assert not (closed / "new").exists()


@needs_root
def test_no_file_of_the_server_is_attached_to_a_mail(closed: Path) -> None:
    config = {"from": "a@example.com", "to": "b@example.com", "attachments": ["key"]}
    assert len(mail.read_email(Job(type="mail", id="1", cwd=closed, config=config)).attachments) == 1
    with pytest.raises(SetupError, match=r"attachments: .*key.*: permission denied"):
        mail.read_email(Job(type="mail", id="1", cwd=closed, config=config, account=NAME))


@needs_root
async def test_no_key_of_the_server_logs_in_to_another_host(closed: Path) -> None:
    login = connection.Login(host="localhost", port=1, user="a", key=closed / "key", password="")
    with pytest.raises(SetupError, match=r"the key .* could not be read: Permission denied"):
        async with connection.connect(login, NAME):
            pass


@needs_root
async def test_an_account_without_access_to_the_docker_daemon_starts_no_container(closed: Path) -> None:
    path = closed.with_name(f"{closed.name}.sock")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(path))
        daemon.listen()
        try:
            path.chmod(0o660)
            with pytest.raises(SetupError, match=r"may not use the Docker daemon"):
                await _connect(path)
            path.chmod(0o666)
            await _connect(path)
        finally:
            path.unlink()


async def _connect(path: Path) -> None:
    async with engine.connect({"DOCKER_HOST": f"unix://{path}"}, NAME):
        pass
