"""The processes of a step: start through the shim, wait, signal, kill, adopt after a restart (house design 7).

For the server that starts it the shim is a child with an exit status. A server that adopts it only has the files.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

import msgspec

from dagbook.executors.contract import Command, ExecutionFiles, Outcome, SetupError, StartError
from dagbook.spec.model import is_variable_name
from dagbook.unix import proc, unix_accounts
from dagbook.unix.descriptors import memory_file, restore_limit
from dagbook.unix.proc import ProcessId
from dagbook.unix.unix_accounts import AccountError

SHIM = Path(__file__).with_name("shim.sh")
_CODE_LENGTH = 4  # three digits and a line end, before the shim's line of /proc
_CODE_PLACEHOLDER = b"   \n"
_LINES_WITHOUT_MESSAGE = 2
_SIGNALLED = 128  # a shell adds it to the number of the signal that ended a command
_NEVER_RAN = b"---\n"  # in place of the exit code
# Writable, so that a program of another account may open /dev/stdout; no other program can get there.
_OUTPUT_MODE, _OUTPUT_MODE_OF_ACCOUNT = 0o600, 0o622
_CLAIMED = "claimed"
# Errors of pidfd_open for a pid that belongs to no process, or by now to a thread (EINVAL on kernels before 6.9).
_NO_PROCESS = frozenset({errno.ESRCH, errno.ENOENT, errno.EINVAL})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})  # returned by file systems without hard links
_UNCAUGHT = frozenset({"SIGKILL", "SIGSTOP"})
_FIRST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.002, 0.25
NEVER_RAN = Outcome(exit_code=None, error="ended before its server released it")
LOST = Outcome(exit_code=None, error="ended without an exit status")
LOST_NAMESPACE = Outcome(exit_code=None, error="ended without an exit status, with its container or PID namespace")


class WorkingContext(msgspec.Struct, frozen=True):
    """Working directory, environment and account of a command."""

    cwd: Path
    env: Mapping[str, str]
    account: str = ""


class GatedProcess:
    """A shim in its own session that waits to run its command; it exits without running it when this server ends."""

    def __init__(self, command: Command, files: ExecutionFiles) -> None:
        """Start the shim. Raises SetupError."""
        self._files = files
        self._account = command.account
        reading, writing = os.pipe()
        self._gate = FileIO(writing, "w")
        before = proc.boot_ticks()
        try:
            self._popen = _start_shim(command, files, reading)
            restore_limit(self._popen.pid)
        except BaseException:
            self._gate.close()
            raise
        finally:
            os.close(reading)
        self._started = before if proc.boot_ticks() == before else None

    def release(self) -> OwnProcess:
        """Make the shim the owner of the execution and let it run the command, or kill it. Raises SetupError."""
        pid, started = self._popen.pid, self._started
        try:
            # Reading /proc would wait until the child has finished its exec; so only if its start time is uncertain.
            identity = proc.read_stat(pid) if started is None else proc.write_stat(ProcessId(pid, started))
            _create_complete(self._files.started, _CODE_PLACEHOLDER + identity)
        except OSError as error:
            self.discard()
            if isinstance(error, FileExistsError):
                raise SetupError("the execution was started before") from error
            raise SetupError(f"the spool could not be written: {error}") from error
        with suppress(BrokenPipeError):  # it was killed from outside: ``wait`` reports that
            self._gate.write(b"go\n")
        self._gate.close()
        return OwnProcess(self._popen, self._files, self._account)

    def discard(self) -> None:
        """Kill the shim unless it was released or discarded before."""
        if not self._gate.closed:
            self._gate.close()
            self._popen.kill()
            self._popen.wait()


def spawn(command: Command, files: ExecutionFiles) -> OwnProcess:
    """Start a command through the shim. Raises SetupError."""
    return GatedProcess(command, files).release()


def _create_complete(path: str, content: bytes) -> None:
    """Create a file together with its content. Raises FileExistsError, or another OSError."""
    draft = f"{path}.{secrets.token_hex(4)}"  # another server may create the same file at this moment
    try:
        _create(draft, content)
        os.link(draft, path)  # a rename would replace an existing file
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _create(path, content)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(draft)


def _create(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)


def _start_shim(command: Command, files: ExecutionFiles, stdin: int) -> subprocess.Popen[bytes]:
    if not command.account:
        _require_program(command)
    # Others would need a program that gets them as arguments, which every user of the machine can read.
    env = {name: value for name, value in command.env.items() if is_variable_name(name)}
    out, err = _open_output(files.stdout, command.account), _open_output(files.stderr, command.account)
    jobs = [memory_file(command.job)] if command.job else []
    argv = [*command.argv, *map(str, jobs)]
    try:
        with unix_accounts.launch(argv, str(command.cwd), env, command.account) as launch:
            words = launch.argv
            if command.following:  # an empty word, then the command lines as texts for a shell
                launcher = words[: len(words) - len(command.argv)]
                following = (shlex.join([*launcher, *each]) for each in command.following)
                words = ("", shlex.join(words), *following)
            return subprocess.Popen(  # noqa: S603 - running what the definition says is the product
                ["/bin/sh", str(SHIM), files.started, *words],
                cwd=launch.cwd,
                env=launch.env,
                stdin=stdin,
                stdout=out,
                stderr=err,
                pass_fds=(*jobs, *launch.descriptors),
                start_new_session=True,
            )
    except AccountError as error:
        raise SetupError(str(error)) from error
    except (OSError, ValueError) as error:
        raise StartError(f"the command could not be started: {error}") from error
    finally:
        for descriptor in (out, err, *jobs):
            os.close(descriptor)


def _open_output(path: Path, account: str) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OUTPUT_MODE)
    if account:
        os.fchmod(descriptor, _OUTPUT_MODE_OF_ACCOUNT)
    return descriptor


def _require_program(command: Command) -> None:
    """Search the program as the shim would. Raises StartError; the shim could only write to the step's stderr."""
    program, path = command.argv[0], command.env.get("PATH")
    if "/" not in program and path is None:
        return  # the default path is known to the shim's shell only
    cwd = str(command.cwd)
    wanted = os.path.join(cwd, program) if "/" in program else program
    places = [os.path.join(cwd, place) for place in (path or "").split(os.pathsep)]
    if shutil.which(wanted, path=os.pathsep.join(places)) is None:
        raise StartError(f"the program {program!r} could not be started: there is no such executable file")


def read_exit(files: ExecutionFiles) -> int | None:
    """Read the exit code that the shim wrote; None while it is missing or incomplete."""
    try:
        text = Path(files.started).read_bytes()
    except FileNotFoundError:
        return None
    return int(text[:3]) if len(text) > _CODE_LENGTH and text[:3].isdigit() else None


def read_outcome(files: ExecutionFiles) -> Outcome | None:
    """Read the outcome of an execution; None while its exit code is missing or incomplete."""
    code = read_exit(files)
    return None if code is None else _shim_outcome(code, files)


def has_never_run(files: ExecutionFiles) -> bool:
    """Whether the shim exited without running its command, because its server had ended."""
    try:
        return Path(files.started).read_bytes().startswith(_NEVER_RAN)
    except FileNotFoundError:
        return False


def read_started(files: ExecutionFiles) -> ProcessId | None:
    """Read the owner of the execution; None when the file is missing or incomplete."""
    try:
        return proc.parse_stat(Path(files.started).read_text(errors="replace").partition("\n")[2].partition("\n")[0])
    except FileNotFoundError:
        return None


def execution_files(spool: Path, stored: str) -> ExecutionFiles:
    """Return the files of an execution in a spool; the stored path may be one of another spool."""
    base = f"{spool}/{Path(stored).name}"
    shared = base.rpartition(".")[0]
    return ExecutionFiles(base, Path(f"{shared}.out"), Path(f"{shared}.err"))


def has_started(files: ExecutionFiles) -> bool:
    """Whether the execution has an owner."""
    return os.path.lexists(files.started)


def may_have_writers(files: ExecutionFiles) -> bool:
    """Whether a process may still write to the output; True where the file system has no leases."""
    return any(proc.has_writers(path) in (True, None) for path in (files.stdout, files.stderr))


def claim_execution(files: ExecutionFiles) -> bool:
    """Create ``started``, so that no shim can start later; False when a shim was first.

    It is a dangling symbolic link: that exists together with its meaning, so that a server that dies right after
    creating it is not mistaken for a shim that died before it wrote to its file.
    """
    started = Path(files.started)
    try:
        started.symlink_to(_CLAIMED)
    except FileExistsError:
        return started.is_symlink()
    return True


def is_claim(path: Path) -> bool:
    """Whether a file was created by ``claim_execution``."""
    return path.is_symlink() and str(path.readlink()) == _CLAIMED


def kill_abandoned(files: ExecutionFiles) -> None:
    """Kill the processes of an execution that no server waits for, unless it has an exit code."""
    owner = read_started(files)
    if owner is None or read_exit(files) is not None:
        return
    # The pid is not reused while a process of the session lives.
    if proc.identify(owner.pid) in (None, owner):
        for pid in proc.session_members(owner.pid):
            _kill_quietly(pid, signal.SIGKILL)


async def wait_for_exit(pid: int, known: ProcessId | None = None) -> None:
    """Wait until the process has ended; ``known`` guards against a pid that was reused."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return
        raise
    ended = asyncio.Event()
    try:
        if known is not None and not proc.is_alive(known):
            return
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class _SessionProcess:
    """A session that a shim leads."""

    def __init__(self, pid: int, files: ExecutionFiles, account: str) -> None:
        self.pid = pid
        self._files = files
        self._account = account
        self._stopping = False

    def signal(self, name: str) -> None:
        """Signal the session except the shim, which has to write the exit code.

        A shim with several command lines gets the signals that it can catch, and begins no further line.
        """
        self._stopping = True
        has_lines = name not in _UNCAUGHT and self._files.line.exists()
        self._send(signal.Signals[name], spare=0 if has_lines else self.pid)

    def kill(self) -> None:
        """Kill the whole session, shim included."""
        self._stopping = True
        self._send(signal.SIGKILL, spare=0)

    def detach(self) -> None:
        """Do nothing: the processes do not depend on this server."""

    def _kill_rest(self) -> None:
        """Kill the rest of the session after it was signalled (promise 5)."""
        if self._stopping:
            self._send(signal.SIGKILL, spare=0)

    def _send(self, number: int, *, spare: int) -> None:
        members = proc.session_members(self.pid)
        if self._account:  # /proc may hide them from a server that is not root
            with suppress(AccountError), unix_accounts.files_as(self._account):
                members += proc.session_members(self.pid)
        for pid in dict.fromkeys(members):  # parents first: one that waits would end by itself with its child
            if pid != spare:
                _kill_quietly(pid, number)

    async def _wait_for_writers(self) -> None:
        pause = _FIRST_POLL_SECONDS
        while self._has_writers():
            if self._stopping:
                # Also those that have left the session: the step would not finish before they do.
                _signal_writers(self._files, signal.SIGKILL, self._account)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_POLL_SECONDS)

    def _has_writers(self) -> bool:
        answers = [proc.has_writers(path) for path in (self._files.stdout, self._files.stderr)]
        if None in answers:
            return bool(proc.session_members(self.pid))
        return any(answers)


def _kill_quietly(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it has ended, or runs as another user and cannot be signalled


def _signal_writers(files: ExecutionFiles, number: int, account: str) -> None:
    """Signal all that write to the output; of another account those that it owns: it can hand its files to others."""
    for path in (files.stdout, files.stderr):
        with suppress(FileNotFoundError, AccountError):
            file = path.stat()
            with unix_accounts.files_as(account):
                writers = proc.find_writers(file)
            for pid in writers:
                _kill_quietly(pid, number)


class OwnProcess(_SessionProcess):
    """A shim that this server started."""

    def __init__(self, popen: subprocess.Popen[bytes], files: ExecutionFiles, account: str = "") -> None:
        super().__init__(popen.pid, files, account)
        self._popen = popen

    async def wait(self) -> Outcome:
        """Wait for the shim and for all writers of the output."""
        await wait_for_exit(self.pid)
        # Before the shim is reaped: until then its pid identifies this session.
        self._kill_rest()
        code = self._popen.wait()
        await self._wait_for_writers()
        return _signal_outcome(-code) if code < 0 else _shim_outcome(code, self._files)

    def detach(self) -> None:
        """Keep the interpreter from warning that the child still runs."""
        self._popen.returncode = 0


class AdoptedProcess(_SessionProcess):
    """A shim that another server started."""

    def __init__(self, process: ProcessId, files: ExecutionFiles, account: str = "") -> None:
        super().__init__(process.pid, files, account)
        self._process = process

    async def wait(self) -> Outcome:
        """Wait for the shim and the writers, then read the exit code."""
        await wait_for_exit(self.pid, self._process)
        self._kill_rest()
        await self._wait_for_writers()
        if outcome := read_outcome(self._files):
            return outcome
        return NEVER_RAN if has_never_run(self._files) and not self._stopping else LOST


class OtherNamespaceProcess(_SessionProcess):
    """A shim in another PID namespace: known by its files, signalled only where /proc shows its processes."""

    def __init__(self, files: ExecutionFiles, account: str = "") -> None:
        super().__init__(0, files, account)

    async def wait(self) -> Outcome:
        """Wait for the writers, of which the shim is one, then read the exit code."""
        await self._wait_for_writers()
        return read_outcome(self._files) or LOST_NAMESPACE

    def _send(self, number: int, *, spare: int) -> None:  # noqa: ARG002 - its shim has no pid here
        _signal_writers(self._files, number, self._account)

    def _has_writers(self) -> bool:
        return any(proc.has_writers(path) for path in (self._files.stdout, self._files.stderr))


def lost_outcome(reason: str = "") -> Outcome:
    """Return the outcome of an execution without any trace; ``reason`` explains that, where it is known."""
    return Outcome(exit_code=None, error=": ".join(filter(None, ["what the step left behind is gone", reason])))


def outcome_of(code: int) -> Outcome:
    """Make the outcome of an exit code."""
    return Outcome(exit_code=code, error=f"exit status {code}" if code else "")


def _shim_outcome(code: int, files: ExecutionFiles) -> Outcome:
    """Make the outcome of the shim's exit code: a message of its shell in ``started`` means a signal (runtime 12)."""
    outcome = outcome_of(code)
    if code > _SIGNALLED:
        with suppress(FileNotFoundError):
            if Path(files.started).read_bytes().count(b"\n") > _LINES_WITHOUT_MESSAGE:
                outcome = _signal_outcome(code - _SIGNALLED)
    current = read_line(files) if outcome.error else None
    if current is None:
        return outcome
    return msgspec.structs.replace(outcome, error=f"line {current.number}: {outcome.error}")


class CurrentLine(msgspec.Struct, frozen=True):
    """The number of the current command line, from 1, and the size of stderr in bytes when it began."""

    number: int
    stderr_size: int


def read_line(files: ExecutionFiles) -> CurrentLine | None:
    """Read which of several command lines is the current one; None for a single one."""
    try:
        number, size = files.line.read_text().split()
        return CurrentLine(int(number), int(size))
    except (FileNotFoundError, ValueError):
        return None


def _signal_outcome(number: int) -> Outcome:
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = str(number)
    return Outcome(exit_code=-1, error=f"signal: {name}")
