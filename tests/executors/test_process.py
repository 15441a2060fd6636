"""A step's processes: through the shim, adopted, signalled, killed (house design section 7)."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from pathlib import Path

import pytest

from dagbook.executors.contract import Command, ExecutionFiles, Outcome, SetupError, StartError
from dagbook.executors.process import process
from dagbook.executors.process.process import AdoptedProcess, OwnProcess
from dagbook.unix import proc
from tests.waiting import until_gone, until_written

SHIM = Path(process.__file__).with_name("shim.sh")
STAT = "77 (sh) R 1 77 77 0 -1 4194304 67 0 0 0 0 0 0 0 20 0 1 0 645990 2744320 434\n"
ENV = {"PATH": os.environ["PATH"]}


def _spawn(files: ExecutionFiles, *argv: str, env: dict[str, str] | None = None) -> OwnProcess:
    command = Command(argv=argv, cwd=files.directory, env={**ENV, **(env or {})})
    return process.spawn(command, files)


def _sh(files: ExecutionFiles, text: str, **env: str) -> OwnProcess:
    return _spawn(files, "/bin/sh", "-c", text, env=env)


# -- what the shim does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "code"), [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("exit 137", 137)])
async def test_the_parent_and_the_file_get_the_exit_code(files: ExecutionFiles, text: str, code: int) -> None:
    outcome = await _sh(files, text).wait()
    assert (outcome.exit_code, process.read_exit(files)) == (code, code)
    assert outcome.error == (f"exit status {code}" if code else "")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGABRT", "SIGUSR1"])
async def test_a_signal_is_distinguished_from_an_exit_code(files: ExecutionFiles, name: str) -> None:
    outcome = await _sh(files, f"kill -{name.removeprefix('SIG')} $$").wait()
    assert outcome == process.read_outcome(files) == Outcome(exit_code=-1, error=f"signal: {name}")
    assert process.read_started(files) is not None  # the shell's words are behind it


async def test_a_signal_that_ended_only_a_child_is_the_command_s_own_exit_code(files: ExecutionFiles) -> None:
    assert (await _sh(files, "sh -c 'kill -9 $$'; exit $?").wait()).exit_code == 137


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program", "./sub", "sub/plain"])
def test_a_missing_program_is_not_started(files: ExecutionFiles, program: str) -> None:
    (files.directory / "sub").mkdir()
    (files.directory / "sub" / "plain").touch(mode=0o600)
    with pytest.raises(StartError, match=program):
        _spawn(files, program)
    assert not Path(files.started).exists()


@pytest.mark.parametrize(
    ("program", "env"),
    [("./tool", {}), ("tool", {"PATH": "."}), ("tool", {"PATH": "/none:bin/.."})],
)
async def test_a_program_is_found_from_the_directory_of_the_step(
    files: ExecutionFiles, program: str, env: dict[str, str]
) -> None:
    (files.directory / "bin").mkdir()
    tool = files.directory / "tool"
    tool.write_text("#!/bin/sh\nexit 4\n")
    tool.chmod(0o700)
    assert (await _spawn(files, program, env=env).wait()).exit_code == 4


async def test_output_goes_to_files_that_only_the_owner_reads(files: ExecutionFiles) -> None:
    await _sh(files, "echo out; echo err >&2").wait()
    assert (files.stdout.read_text(), files.stderr.read_text()) == ("out\n", "err\n")
    assert [Path(path).stat().st_mode & 0o077 for path in (files.stdout, files.stderr)] == [0, 0]


async def test_executions_of_a_node_append_to_the_same_files(files: ExecutionFiles) -> None:
    await _sh(files, "echo one").wait()
    second = ExecutionFiles(files.base + "x", files.stdout, files.stderr)
    await _sh(second, "echo two").wait()
    assert files.stdout.read_text() == "one\ntwo\n"


async def test_a_second_shim_for_an_execution_does_nothing(files: ExecutionFiles) -> None:
    await _sh(files, "echo ran; exit 3").wait()
    with pytest.raises(SetupError, match="started before"):
        _sh(files, "echo again")
    assert (files.stdout.read_text(), process.read_exit(files)) == ("ran\n", 3)


async def test_one_of_many_concurrent_starts_wins(files: ExecutionFiles) -> None:
    async def begin() -> int | None:
        try:
            return (await (await asyncio.to_thread(_sh, files, "echo ran")).wait()).exit_code
        except SetupError:
            return None

    codes = await asyncio.gather(*(begin() for _ in range(8)))
    assert sorted(codes, key=str) == [0] + [None] * 7
    assert files.stdout.read_text() == "ran\n"


# Simulates a server that dies between creating the file and releasing the shim: closes the pipe without a line.
def _run_orphaned_shim(files: ExecutionFiles, started: str | bytes | None) -> subprocess.Popen[bytes]:
    shim = subprocess.Popen(
        ["/bin/sh", SHIM, files.started, "/bin/sh", "-c", f"echo ran >{files.stdout}"], stdin=subprocess.PIPE
    )
    text = f"   \n{Path(f'/proc/{shim.pid}/stat').read_text()}" if started == "its own" else started
    if text is not None:
        Path(files.started).write_text(str(text))
    shim.communicate()
    return shim


async def test_a_shim_runs_nothing_before_its_release(files: ExecutionFiles) -> None:
    command = Command(argv=("/bin/sh", "-c", "echo ran"), cwd=files.directory, env=ENV)
    waiting = process.GatedProcess(command, files)
    assert (Path(files.started).exists(), files.stdout.read_text()) == (False, "")
    assert await waiting.release().wait() == Outcome(exit_code=0)
    assert files.stdout.read_text() == "ran\n"


async def test_a_discarded_shim_leaves_the_execution_to_others(files: ExecutionFiles) -> None:
    command = Command(argv=("/bin/sh", "-c", "echo ran"), cwd=files.directory, env=ENV)
    waiting = process.GatedProcess(command, files)
    waiting.discard()
    waiting.discard()
    assert (Path(files.started).exists(), files.stdout.read_text()) == (False, "")
    assert await _sh(files, "echo ran").wait() == Outcome(exit_code=0)


async def test_a_shim_that_is_not_released_runs_nothing_and_reports_it(files: ExecutionFiles) -> None:
    shim = _run_orphaned_shim(files, "its own")
    owner = process.read_started(files)
    assert (shim.returncode, files.stdout.exists()) == (125, False)
    assert owner is not None
    assert await AdoptedProcess(owner, files).wait() == process.NEVER_RAN


async def test_a_stopped_execution_that_never_ran_is_lost(files: ExecutionFiles) -> None:
    _run_orphaned_shim(files, "its own")
    owner = process.read_started(files)
    assert owner is not None
    adopted = AdoptedProcess(owner, files)
    adopted.kill()
    assert await adopted.wait() == process.LOST


def test_a_shim_that_is_not_released_creates_no_file(files: ExecutionFiles) -> None:
    _run_orphaned_shim(files, None)
    assert not Path(files.started).exists()


def test_a_shim_that_is_not_released_does_not_change_the_file_of_another(files: ExecutionFiles) -> None:
    _run_orphaned_shim(files, f"   \n{STAT}")
    assert Path(files.started).read_text() == f"   \n{STAT}"


def test_a_shim_that_is_not_released_does_not_change_a_claim(files: ExecutionFiles) -> None:
    process.claim_execution(files)
    _run_orphaned_shim(files, None)
    assert process.is_claim(Path(files.started))
    assert not (files.directory / "claimed").exists()


async def test_the_started_file_has_its_content_as_soon_as_it_exists(
    files: ExecutionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked: list[tuple[str, bool]] = []

    def note(draft: str, path: str) -> None:
        linked.append((Path(draft).read_text(), Path(path).exists()))
        link(draft, path)

    link = os.link
    monkeypatch.setattr(os, "link", note)
    running = _sh(files, "true")
    ((content, existed),) = linked
    assert not existed
    assert content.startswith("   \n")  # room for the exit code
    assert proc.parse_stat(content.removeprefix("   \n").rstrip("\n")) == process.read_started(files) is not None
    assert Path(files.started).stat().st_mode & 0o777 == 0o600
    assert not list(files.directory.glob("*.started.*"))
    await running.wait()


async def test_without_hard_links_an_execution_starts_once(
    files: ExecutionFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)  # no file system without links can be mounted here
    assert await _sh(files, "echo one").wait() == Outcome(exit_code=0)
    with pytest.raises(SetupError, match="started before"):
        _sh(files, "echo two")
    assert files.stdout.read_text() == "one\n"
    assert process.read_exit(files) == 0
    assert not list(files.directory.glob("*.started.*"))


async def test_the_started_file_identifies_the_shim(files: ExecutionFiles) -> None:
    running = _sh(files, "echo ready; read line < /dev/null; sleep 30")
    await until_written(files.stdout, "ready")
    assert process.read_started(files) == proc.identify(running.pid)
    running.kill()
    await running.wait()


async def test_a_command_sees_its_environment_and_nothing_of_the_shim(files: ExecutionFiles) -> None:
    odd = {"1": "first", "A-B": "odd", "a.b": "x", "BASH_FUNC_env%%": "() { echo no; }", "": "none"}
    env = {"A": "x y\nz", "Q": "'quoted' \"$(echo no)\"", "E": ""}
    await _spawn(files, "env", "-0", env=env | odd).wait()
    seen = dict(entry.split("=", 1) for entry in files.stdout.read_text().rstrip("\0").split("\0"))
    assert {name: seen.get(name) for name in env | odd} == env | dict.fromkeys(odd)
    assert not [name for name in seen if name.startswith("_dagbook")]


async def test_no_value_of_a_variable_is_in_arguments_that_everybody_can_read(files: ExecutionFiles) -> None:
    running = _sh(files, "echo ready; sleep 30", **{"1": "HIDDEN", "A": "HIDDEN", "a.b": "HIDDEN"})
    await until_written(files.stdout, "ready")
    words = Path(f"/proc/{running.pid}/cmdline").read_bytes()
    running.kill()
    await running.wait()
    assert b"ready" in words
    assert b"HIDDEN" not in words


async def test_arguments_reach_the_command_as_they_are(files: ExecutionFiles) -> None:
    words = ["", "a b", "'", '"', "$HOME", "`id`", "*", "-n", "--", "\n", "ä"]
    await _spawn(files, "printf", "<%s>", *words).wait()
    assert files.stdout.read_text() == "".join(f"<{word}>" for word in words)


async def test_a_command_has_default_signals_and_no_input(files: ExecutionFiles) -> None:
    await _sh(files, "grep -E 'SigIgn|SigBlk' /proc/self/status; cat").wait()
    masks = {int(line.split()[1], 16) for line in files.stdout.read_text().splitlines()}
    assert masks == {0}


async def test_a_command_has_no_open_files_of_ours(files: ExecutionFiles) -> None:
    await _sh(files, "ls /proc/self/fd").wait()
    assert set(files.stdout.read_text().split()) <= {"0", "1", "2", "3"}  # 3 is the folder that ls reads


@pytest.mark.parametrize(("argv", "cwd"), [(("a\0b",), "."), (("true",), "/no/such")])
def test_what_cannot_be_started_is_said(files: ExecutionFiles, argv: tuple[str, ...], cwd: str) -> None:
    with pytest.raises(SetupError, match="could not be started"):
        process.spawn(Command(argv=argv, cwd=Path(cwd), env=ENV), files)


# -- its end ---------------------------------------------------------------------------------------------------------


async def test_an_execution_lasts_as_long_as_somebody_writes(files: ExecutionFiles) -> None:
    fifo = files.directory / "go"
    os.mkfifo(fifo)
    running = asyncio.create_task(_sh(files, f"(read line < {fifo}; echo late) & echo early").wait())
    await until_written(files.started, "000\n")  # its exit code, which stands before its identity
    assert not running.done()
    fifo.write_text("go\n")
    assert await running == Outcome(exit_code=0)
    assert files.stdout.read_text() == "early\nlate\n"


async def test_a_child_without_our_streams_is_not_waited_for_and_left_alone(files: ExecutionFiles) -> None:
    outcome = await _sh(files, "sleep 30 >/dev/null 2>&1 & echo $!").wait()
    child = int(files.stdout.read_text())
    assert outcome.exit_code == 0
    assert proc.identify(child) is not None
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"])
async def test_a_signal_reaches_every_process_but_the_shim(files: ExecutionFiles, name: str) -> None:
    running = _sh(files, "sleep 30 & echo ready; wait")
    await until_written(files.stdout, "ready")
    running.signal(name)
    outcome = await running.wait()
    assert process.read_exit(files) == 128 + signal.Signals[name]
    silent = name == "SIGINT"  # of which shells say nothing: it stays an exit code
    assert outcome.exit_code == (130 if silent else -1)


async def test_a_command_may_end_in_its_own_way_on_a_signal(files: ExecutionFiles) -> None:
    running = _sh(files, "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done")
    await until_written(files.stdout, "ready")
    running.signal("SIGTERM")
    assert (await running.wait()).exit_code == 9
    assert files.stdout.read_text() == "ready\nbye\n"


async def test_processes_that_ignore_the_signal_are_killed_after_the_command(files: ExecutionFiles) -> None:
    running = _sh(
        files, "(trap '' TERM; echo $$; sleep 30) & (trap '' TERM; exec sleep 31) & sleep 0.1; echo ready; wait"
    )
    await until_written(files.stdout, "ready")
    running.signal("SIGTERM")
    await running.wait()
    assert proc.session_members(running.pid) == []


async def test_what_has_left_the_session_and_still_writes_is_ended_too(files: ExecutionFiles) -> None:
    running = _sh(files, "setsid sh -c 'echo $$ ready; sleep 30' & wait")
    written = await until_written(files.stdout, "ready")
    running.signal("SIGTERM")
    await running.wait()
    await until_gone(int(written.split()[0]))


async def test_a_kill_ends_the_session_and_is_reported_as_a_signal(files: ExecutionFiles) -> None:
    running = _sh(files, "trap '' TERM INT; (trap '' TERM; sleep 30) & echo ready; sleep 30")
    await until_written(files.stdout, "ready")
    running.kill()
    assert await running.wait() == Outcome(exit_code=-1, error="signal: SIGKILL")
    assert proc.session_members(running.pid) == []
    assert process.read_exit(files) is None


# -- another server --------------------------------------------------------------------------------------------------


async def test_a_detached_process_can_be_adopted_and_waited_for(files: ExecutionFiles) -> None:
    fifo = files.directory / "go"
    os.mkfifo(fifo)
    first = _sh(files, f"read line < {fifo}; exit 6")
    await until_written(files.started, "\n")
    owner = process.read_started(files)
    assert owner is not None
    adopted = asyncio.create_task(AdoptedProcess(owner, files).wait())
    fifo.write_text("go\n")
    assert (await first.wait()).exit_code == 6
    assert await adopted == Outcome(exit_code=6, error="exit status 6")


async def test_an_adopted_process_that_left_no_exit_code_is_lost(files: ExecutionFiles) -> None:
    first = _sh(files, "echo ready; sleep 30")
    await until_written(files.stdout, "ready")
    owner = process.read_started(files)
    assert owner is not None
    adopted = AdoptedProcess(owner, files)
    adopted.kill()
    await first.wait()
    assert await adopted.wait() == process.LOST


async def test_a_process_that_has_ended_is_not_waited_for(files: ExecutionFiles) -> None:
    await _sh(files, "exit 4").wait()
    owner = process.read_started(files)
    assert owner is not None
    assert (await AdoptedProcess(owner, files).wait()).exit_code == 4


async def test_a_number_that_was_given_out_again_is_not_waited_for() -> None:
    own = proc.identify(os.getpid())
    assert own is not None
    await process.wait_for_exit(own.pid, proc.ProcessId(own.pid, own.started + 1))


async def test_a_claimed_execution_cannot_be_started(files: ExecutionFiles) -> None:
    assert process.claim_execution(files)
    with pytest.raises(SetupError, match="started before"):
        _sh(files, "echo ran")
    assert files.stdout.read_text() == ""
    assert process.read_started(files) is None
    assert process.claim_execution(files)  # still ours


async def test_a_started_execution_cannot_be_claimed(files: ExecutionFiles) -> None:
    await _sh(files, "true").wait()
    assert not process.claim_execution(files)


async def test_an_abandoned_execution_is_ended_and_one_that_is_over_left_alone(files: ExecutionFiles) -> None:
    running = _sh(files, "echo ready; sleep 30")
    await until_written(files.stdout, "ready")
    process.kill_abandoned(files)
    assert (await running.wait()).exit_code == -1


@pytest.mark.parametrize(
    ("text", "code", "owner"),
    [
        ("", None, None),
        ("   \n", None, None),
        (f"   \n{STAT[:20]}", None, None),
        (f"   \n{STAT}", None, proc.ProcessId(77, 645990)),
        (f"012\n{STAT}", 12, proc.ProcessId(77, 645990)),
        (f"01 \n{STAT}", None, proc.ProcessId(77, 645990)),
        ("012", None, None),
        ("012\n", None, None),
    ],
)
def test_owner_and_exit_code_are_read_only_when_complete(
    files: ExecutionFiles, text: str, code: int | None, owner: proc.ProcessId | None
) -> None:
    Path(files.started).write_text(text)
    assert (process.read_exit(files), process.read_started(files)) == (code, owner)


def test_where_nothing_was_started_there_is_nothing_to_read(files: ExecutionFiles) -> None:
    assert (process.read_exit(files), process.read_started(files)) == (None, None)


def test_a_spool_that_cannot_be_written_is_reported(files: ExecutionFiles) -> None:
    broken = ExecutionFiles("/proc/none", files.stdout, files.stderr)
    with pytest.raises(SetupError, match="the spool could not be written"):
        _sh(broken, "echo ran")
    assert files.stdout.read_text() == ""


async def test_the_shim_writes_no_message_about_a_signalled_command(files: ExecutionFiles) -> None:
    running = _spawn(files, "/bin/sh", "-c", "echo ready; exec sleep 30")
    await until_written(files.stdout)
    running.signal("SIGTERM")
    await running.wait()
    assert files.stderr.read_text() == ""
