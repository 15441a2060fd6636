"""A step's processes: started through the shim, waited for, adopted after a restart, signalled, killed.

House design section 7. The shim is a child of the server while the server lives; its exit status counts
then. A server that comes later only has the files.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path

import msgspec

from app.executors import proc
from app.executors.contract import Command, ExecutionFiles, Outcome, SetupError, StartError
from app.executors.proc import ProcessId

_SHIM = Path(__file__).with_name("shim.sh")
_CODE_LENGTH = 4  # three digits and a line end, before the shim's line of /proc
_ROOM_FOR_CODE = b"   \n"
_LINES_WITHOUT_WORDS = 2
_SIGNALLED = 128  # a shell adds it to the number of the signal that ended a command
_NEVER_RAN = b"---\n"  # in the place of the code
_CLAIMED = "claimed"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# What pidfd_open says of a number that belongs to nothing, or by now to a thread (EINVAL on kernels before 6.9).
_NO_PROCESS = frozenset({errno.ESRCH, errno.ENOENT, errno.EINVAL})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})  # returned by file systems without hard links
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.002, 0.25


class Place(msgspec.Struct, frozen=True):
    """Where a command works and what it sees."""

    cwd: Path
    env: Mapping[str, str]


def _split_environment(env: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Separate what a shell would drop: variables whose names are no identifiers, such as ``1``."""
    plain = {name: value for name, value in env.items() if _IDENTIFIER.match(name)}
    odd = [f"{name}={value}" for name, value in env.items() if name and "=" not in name and name not in plain]
    return plain, odd


class Waiting:
    """A shim in a session of its own that has run nothing yet; it ends without doing so when this server does."""

    def __init__(self, command: Command, files: ExecutionFiles) -> None:
        """Start it; raises SetupError."""
        self._files = files
        waiting, going = os.pipe()
        self._gate = FileIO(going, "w")
        before = proc.clock()
        try:
            self._popen = _start_shim(command, files, waiting)
        except BaseException:
            self._gate.close()
            raise
        finally:
            os.close(waiting)
        self._started = before if proc.clock() == before else None

    def _identity(self) -> bytes:
        """Tell who the shim is. To be asked for it holds a process up until it is done becoming another program."""
        pid = self._popen.pid
        return proc.read_stat(pid) if self._started is None else proc.write_stat(ProcessId(pid, self._started))

    def go(self) -> OwnProcess:
        """Make the execution the shim's and let it go, or end it; raises SetupError."""
        try:
            _create_whole(self._files.started, _ROOM_FOR_CODE + self._identity())
        except OSError as error:
            self.drop()
            if isinstance(error, FileExistsError):
                raise SetupError("the execution was begun before") from error
            raise SetupError(f"the spool could not be written: {error}") from error
        with suppress(BrokenPipeError):  # killed by somebody already: its end will be told
            self._gate.write(b"go\n")
        self._gate.close()
        return OwnProcess(self._popen, self._files)

    def drop(self) -> None:
        """End it, unless it was let go or ended before."""
        if not self._gate.closed:
            self._gate.close()
            self._popen.kill()
            self._popen.wait()


def spawn(command: Command, files: ExecutionFiles) -> OwnProcess:
    """Start the shim in a session of its own, make the execution ours and let it go; raises SetupError."""
    return Waiting(command, files).go()


def _create_whole(path: str, content: bytes) -> None:
    """Create a file that has its content as soon as it exists; raises FileExistsError, or another OSError."""
    draft = f"{path}.{secrets.token_hex(4)}"  # another server may be about to create the same file
    try:
        _create(draft, content)
        os.link(draft, path)  # a renaming would replace what is there
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


def _open_to_append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _start_shim(command: Command, files: ExecutionFiles, waiting: int) -> subprocess.Popen[bytes]:
    _require_program(command)
    env, odd = _split_environment(command.env)
    prefix = ["env", "--", *odd] if odd else []
    argv = ["/bin/sh", str(_SHIM), files.started, *prefix, *command.argv]
    out, err = _open_to_append(files.stdout), _open_to_append(files.stderr)
    try:
        return subprocess.Popen(  # noqa: S603 - running what the definition says is the product
            argv,
            cwd=command.cwd,
            env=env,
            stdin=waiting,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise StartError(f"the command could not be started: {error}") from error
    finally:
        os.close(out)
        os.close(err)


def _require_program(command: Command) -> None:
    """Find the program as the shim would; raises StartError. The shim could only say it in the step's own stderr."""
    program, path = command.argv[0], command.env.get("PATH")
    if "/" not in program and path is None:
        return  # the shim's shell knows where it would look
    cwd = str(command.cwd)
    wanted = os.path.join(cwd, program) if "/" in program else program
    places = [os.path.join(cwd, place) for place in (path or "").split(os.pathsep)]
    if shutil.which(wanted, path=os.pathsep.join(places)) is None:
        raise StartError(f"the program {program!r} could not be started: there is no such executable file")


def read_exit(files: ExecutionFiles) -> int | None:
    """Read the exit code that the shim left; None while it is missing or short."""
    try:
        text = Path(files.started).read_bytes()
    except FileNotFoundError:
        return None
    return int(text[:3]) if len(text) > _CODE_LENGTH and text[:3].isdigit() else None


def read_outcome(files: ExecutionFiles) -> Outcome | None:
    """Read how an execution ended; None while its exit code is missing or short."""
    code = read_exit(files)
    return None if code is None else _outcome_with_words(code, files)


def has_never_run(files: ExecutionFiles) -> bool:
    """Whether the shim ended without having been let go, because its server had ended."""
    try:
        return Path(files.started).read_bytes().startswith(_NEVER_RAN)
    except FileNotFoundError:
        return False


def read_started(files: ExecutionFiles) -> ProcessId | None:
    """Read who owns the execution; None when the file is not there or not whole."""
    try:
        return proc.parse_stat(Path(files.started).read_text(errors="replace").partition("\n")[2].partition("\n")[0])
    except FileNotFoundError:
        return None


def execution_files(spool: Path, stored: str) -> ExecutionFiles:
    """Find the files of an execution in a spool; its row may name another path, of the same or of another spool."""
    base = f"{spool}/{Path(stored).name}"
    shared = base.rpartition(".")[0]
    return ExecutionFiles(base, Path(f"{shared}.out"), Path(f"{shared}.err"))


def has_started(files: ExecutionFiles) -> bool:
    """Whether some process came to own the execution."""
    return os.path.lexists(files.started)


def may_have_writers(files: ExecutionFiles) -> bool:
    """Whether a process may still write to the output; where the file system cannot tell, one may."""
    return any(proc.has_writers(path) in (True, None) for path in (files.stdout, files.stderr))


def claim(files: ExecutionFiles) -> bool:
    """Create ``started`` ourselves, so that no late shim can begin here; False when a shim was first.

    A link that leads nowhere: it is there with its meaning at once, so that a server that dies right after
    it is not mistaken for a shim that died before it wrote to its file.
    """
    started = Path(files.started)
    try:
        started.symlink_to(_CLAIMED)
    except FileExistsError:
        return started.is_symlink()
    return True


def is_claim(path: Path) -> bool:
    """Whether a file is what ``claim`` made."""
    return path.is_symlink() and str(path.readlink()) == _CLAIMED


def end_abandoned(files: ExecutionFiles) -> None:
    """Kill what is left of an execution that nobody waits for; one that left its exit code ended as it should."""
    owner = read_started(files)
    if owner is None or read_exit(files) is not None:
        return
    # While a process of the session lives nobody else gets its number.
    if proc.identify(owner.pid) in (None, owner):
        for pid in proc.session_members(owner.pid):
            _kill_quietly(pid, signal.SIGKILL)


async def wait_for_exit(pid: int, known: ProcessId | None = None) -> None:
    """Wait until the process is gone; ``known`` guards against a number that was given out again."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in _NO_PROCESS:
            return
        raise
    gone = asyncio.Event()
    try:
        if known is not None and not proc.is_alive(known):
            return
        loop.add_reader(descriptor, gone.set)
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class _SessionProcess:
    """What own and adopted processes have in common: a session that the shim leads."""

    def __init__(self, pid: int, files: ExecutionFiles) -> None:
        self.pid = pid
        self._files = files
        self._ending = False

    def signal(self, name: str) -> None:
        """Signal everything in the session but its shim, which has to live to tell the exit code."""
        self._ending = True
        self._send(signal.Signals[name], spare=self.pid)

    def kill(self) -> None:
        """Kill the whole session, shim included."""
        self._ending = True
        self._send(signal.SIGKILL, spare=0)

    def detach(self) -> None:
        """Nothing holds the processes to this server."""

    def _end_stragglers(self) -> None:
        """Leave nothing of the session behind once it was told to end (promise 5)."""
        if self._ending:
            self._send(signal.SIGKILL, spare=0)

    def _send(self, number: int, *, spare: int) -> None:
        for pid in proc.session_members(self.pid):
            if pid != spare:
                _kill_quietly(pid, number)

    async def _wait_for_writers(self) -> None:
        pause = _FIRST_LOOK_SECONDS
        while self._has_writers():
            if self._ending:
                self._end_writers()
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK_SECONDS)

    def _end_writers(self) -> None:
        """End what has left the session and still writes: it belongs to the step, and would hold up its end."""
        for path in (self._files.stdout, self._files.stderr):
            for pid in proc.find_writers(path):
                _kill_quietly(pid, signal.SIGKILL)

    def _has_writers(self) -> bool:
        answers = [proc.has_writers(path) for path in (self._files.stdout, self._files.stderr)]
        if None in answers:
            return bool(proc.session_members(self.pid))
        return any(answers)


def _kill_quietly(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # it ended in between, or it changed its user: no signal of ours reaches it


class OwnProcess(_SessionProcess):
    """A shim that this server started."""

    def __init__(self, popen: subprocess.Popen[bytes], files: ExecutionFiles) -> None:
        super().__init__(popen.pid, files)
        self._popen = popen

    async def wait(self) -> Outcome:
        """Wait for the shim and for all who still write to the output."""
        await wait_for_exit(self.pid)
        # Before the shim is reaped, so that its number still names this session.
        self._end_stragglers()
        code = self._popen.wait()
        await self._wait_for_writers()
        return _ended_by(-code) if code < 0 else _outcome_with_words(code, self._files)

    def detach(self) -> None:
        """Leave the child to init: the interpreter must not warn that it still runs."""
        self._popen.returncode = 0


class AdoptedProcess(_SessionProcess):
    """A shim that another server started."""

    def __init__(self, process: ProcessId, files: ExecutionFiles) -> None:
        super().__init__(process.pid, files)
        self._process = process

    async def wait(self) -> Outcome:
        """Wait for the shim and the writers, then read the exit code it left."""
        await wait_for_exit(self.pid, self._process)
        self._end_stragglers()
        await self._wait_for_writers()
        if outcome := read_outcome(self._files):
            return outcome
        return NEVER_RAN if has_never_run(self._files) and not self._ending else LOST


class UnseenProcess(_SessionProcess):
    """A shim in another PID namespace: known by what it writes and leaves, reached only where /proc shows it."""

    def __init__(self, files: ExecutionFiles) -> None:
        super().__init__(0, files)

    async def wait(self) -> Outcome:
        """Wait for the writers, of which the shim is one, then read the exit code it left."""
        await self._wait_for_writers()
        return read_outcome(self._files) or LOST_NAMESPACE

    def _send(self, number: int, *, spare: int) -> None:  # noqa: ARG002 - its shim has no number here
        for path in (self._files.stdout, self._files.stderr):
            for pid in proc.find_writers(path):
                _kill_quietly(pid, number)

    def _has_writers(self) -> bool:
        return any(proc.has_writers(path) for path in (self._files.stdout, self._files.stderr))


NEVER_RAN = Outcome(exit_code=None, error="ended before its server let it go")
LOST = Outcome(exit_code=None, error="ended without an exit status")
LOST_NAMESPACE = Outcome(exit_code=None, error="ended without an exit status, with its container or PID namespace")


def gone(reason: str = "") -> Outcome:
    """Return the outcome of an execution of which nothing can be found; ``reason`` says why, where that is known."""
    return Outcome(exit_code=None, error=": ".join(filter(None, ["what the step left behind is gone", reason])))


def outcome_of(code: int) -> Outcome:
    """Say what an exit code means."""
    return Outcome(exit_code=code, error=f"exit status {code}" if code else "")


def _outcome_with_words(code: int, files: ExecutionFiles) -> Outcome:
    """Say what an exit code of the shim means: words behind its identity tell of a signal (runtime 12)."""
    if code > _SIGNALLED and _has_words(files):
        return _ended_by(code - _SIGNALLED)
    return outcome_of(code)


def _has_words(files: ExecutionFiles) -> bool:
    try:
        return Path(files.started).read_bytes().count(b"\n") > _LINES_WITHOUT_WORDS
    except FileNotFoundError:
        return False


def _ended_by(number: int) -> Outcome:
    return Outcome(exit_code=-1, error=f"signal: {_name_of(number)}")


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)
