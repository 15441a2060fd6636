"""Carries out the blocks of one page, in a fresh home and working directory.

All console blocks of a page are executed in order by one shell, so that variables, directories and background jobs
last, except those with the mark ``terminal``. What a command prints goes to a file of its own, so that a server in the
background does not write into the output of later commands.
"""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dagbook.settings import read as read_settings
from dagbook.settings.open_files import find_open_files
from dagbook.settings.readers import SettingsError
from dagbook.spec.build.types import NOT_IN_DAGU
from dagbook.spec.reading.load import load
from dagbook.spec.shell_references import find_warnings
from scripts.documentation.example_blocks import (
    INTERRUPT,
    Action,
    Command,
    Example,
    compare,
    insert_ids,
    read_commands,
)

CHECKOUT = Path(__file__).parents[2]
_PREPARING = 2.5  # as long as a command may take: also for a start by schedule
_START_SECONDS = 5.0
_POLL_SECONDS = 0.05
_MOST_LINES = 400  # of an output that is compared
# Jobs have process groups of their own, as in a terminal; without the trap, a shell ends with a job that SIGINT ends.
# serve_quietly is for the mark `prepare`: a server that is meant to be there already.
_FIRST_LINE = """set -m; trap : INT; status=0
exit_with() { return "$1"; }
serve_quietly() {
    dagbook serve "$@" &
    until curl --silent --fail localhost:8080/api/v2/health; do kill -0 $! || return; sleep 0.1; done
}
poll() {  # PATTERN COMMAND…, until it prints that
    until "${@:2}" 2>&1 | grep -e "$1"; do sleep 0.2; done
}
"""
# A failed command of an `sh` block fails the block, and the shell goes on.
_STRICT = "failed=0; trap 'failed=$?' ERR\n{}\ntrap - ERR; (exit $failed)"


class Failure(NamedTuple):
    """What is wrong with a block, and where."""

    line: int
    text: str


def validate(example: Example) -> str:
    """Return what is wrong with a definition: problems and warnings; nothing if it is valid."""
    loaded = load(example.text, name="page")
    found = [str(problem) for problem in loaded.problems] + (["it is empty"] if loaded.empty else [])
    if not found:
        warnings = (*loaded.definition.warnings, *find_warnings(loaded.definition))
        found = [f"warning: {text}" for text in warnings if not text.endswith(NOT_IN_DAGU)]
    return "\n".join(found)


def check_settings(example: Example, folder: Path) -> str:
    """Return what is wrong with a dagbook.yaml: its first problem, or warnings; nothing if it can be read."""
    file = folder / "dagbook.yaml"
    file.write_text(example.text, encoding="utf-8")
    file.chmod(0o600)
    try:
        settings = read_settings({"config": str(file)}, example.variables, folder)
    except SettingsError as error:
        return str(error)
    return "\n".join(find_open_files(settings))


class Place:
    """The fresh directories of a page, and the environment of its commands."""

    def __init__(self, root: Path) -> None:
        self.home, self.work, self.outputs = root / "home", root / "home" / "work", root / "outputs"
        for folder in (self.home, self.work, self.outputs, root / "tmp"):
            folder.mkdir()
        # As pages write them.
        self._names = {"/home/ann": str(self.home), "/tmp/dagbook-demo-": f"{root}/tmp/dagbook-demo-"}  # noqa: S108
        self.environ = {
            "PATH": f"{Path(sys.prefix, 'bin').resolve()}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(CHECKOUT / "app"),  # the code of this checkout, wherever the package is installed from
            "HOME": str(self.home),
            "TMPDIR": str(root / "tmp"),
            "LANG": "C.UTF-8",
            "USER": os.environ.get("USER", "user"),
            "SHELL": "/bin/bash",
        }

    def read_output(self, output: Path) -> list[str]:
        """Return the lines of an output, with the directories as pages write them."""
        text = output.read_text(encoding="utf-8", errors="replace")
        for name, folder in self._names.items():
            text = text.replace(folder, name)
        return text.splitlines()[:_MOST_LINES]

    def translate(self, command: str) -> str:
        """Return a command with these directories in the place of those of the page."""
        return re.sub("|".join(self._names), lambda found: self._names[found[0]], command)

    def write(self, example: Example) -> None:
        """Write the file that a block is."""
        name = example.file
        path = self.home / name[2:] if name.startswith("~/") else self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.text, encoding="utf-8")
        path.chmod(0o755 if example.text.startswith("#!") else 0o644)


class Shell:
    """A bash that executes commands one after the other, and stays what it is between them."""

    def __init__(self, place: Place, name: str) -> None:
        self._outputs, self._name, self._count = place.outputs, name or "main", 0
        self._earlier_jobs: set[int] = set()
        # With a name, so that commands do not inherit it.
        self._pipe = place.outputs / f"{self._name}.statuses"
        os.mkfifo(self._pipe)
        self._statuses = os.open(self._pipe, os.O_RDWR | os.O_CLOEXEC)
        commands, self._commands = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-s"], cwd=place.work, env=place.environ, stdin=commands
        )
        os.close(commands)
        self._write(_FIRST_LINE)

    def _write(self, text: str) -> None:
        with suppress(BrokenPipeError):  # `wait` raises
            os.write(self._commands, text.encode())

    def start(self, command: str) -> Path:
        """Start a command and return the file of its output."""
        self._count += 1
        output = self._outputs / f"{self._name}-{self._count}"
        output.touch()
        self._earlier_jobs = self._list_jobs()
        # Not in a loop of the shell: a job that SIGINT ends would end it.
        self._write(
            f"exit_with $status; eval {shlex.quote(command)} >{output} 2>&1 </dev/null\n"
            f"status=$?; echo $status >{self._pipe}\n"
        )
        return output

    def wait(self, seconds: float) -> int | None:
        """Return the status of the command, or None if it does not end in time. Raises EOFError without a shell."""
        deadline = time.monotonic() + seconds
        while not select.select([self._statuses], [], [], min(max(seconds, 0), 1))[0]:
            if self._process.poll() is not None:
                raise EOFError
            if time.monotonic() > deadline:
                return None
        return int(os.read(self._statuses, 16))

    def interrupt(self) -> None:
        """Send SIGINT to the job that the last command has started, as Ctrl+C does."""
        deadline = time.monotonic() + _START_SECONDS
        while not (started := self._list_jobs() - self._earlier_jobs) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        for job in started:
            with suppress(ProcessLookupError):
                os.killpg(job, signal.SIGINT)

    def _list_jobs(self) -> set[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text(encoding="ascii")
        jobs = set()
        for child in children.split():
            with suppress(ProcessLookupError):
                jobs.add(os.getpgid(int(child)))
        return jobs - {os.getpgid(self._process.pid)}  # the group of a new child for a moment


class PageRunner:
    """Carries out the blocks of a page."""

    def __init__(self, place: Place, seconds: float) -> None:
        self._place, self._seconds = place, seconds
        self._ids, self._count = dict[str, str](), 0
        self._shells: dict[str, Shell] = {}
        self._files: list[Example] = []
        self._busy: set[str] = set()
        self._actions: Mapping[Action, Callable[[Example], Iterator[Failure]]] = {
            Action.RUN: self._run,
            Action.VALIDATE: self._validate,
            Action.READ: self._read,
            Action.EXECUTE: self._execute,
        }

    def carry_out(self, example: Example) -> Iterator[Failure]:
        """Do what a block says, and yield its failures."""
        if example.file:
            self._place.write(example)
            self._files.append(example)
        if action := self._actions.get(example.action):
            try:
                yield from action(example)
            except EOFError:
                yield Failure(example.line, "the shell has ended")
                self._busy.add(example.marks.get("terminal", ""))

    def _fresh_place(self) -> Place:
        self._count += 1
        root = self._place.outputs.parent / f"run-{self._count}"
        root.mkdir()
        return Place(root)

    def _read(self, example: Example) -> Iterator[Failure]:
        if problem := check_settings(example, self._fresh_place().home):
            yield Failure(example.line, f"the settings are not valid:\n{problem}")

    def _validate(self, example: Example) -> Iterator[Failure]:
        if problems := validate(example):
            yield Failure(example.line, f"the definition is not valid:\n{problems}")

    def _run(self, example: Example) -> Iterator[Failure]:
        failures = list(self._validate(example))
        if failures:
            yield from failures
            return
        place = self._fresh_place()
        for written in self._files:
            place.write(written)
        (place.work / "page.yaml").write_text(example.text, encoding="utf-8")
        params = [f"{name}={value}" for name, value in example.variables.items()]
        command = shlex.join(["dagbook", "run", "page.yaml", *(["--", *params] if params else [])])
        shell = Shell(place, "")
        if problem := self._prepare(shell, example):
            yield problem
            return
        output = shell.start(command)
        status, wanted = shell.wait(self._seconds), "failed" if example.fails else "succeeded"
        lines = place.read_output(output)
        if status is None:
            yield Failure(example.line, f"the run does not end within {self._seconds:.0f} s:\n" + "\n".join(lines))
        elif lines[-1:] != [wanted] or (status == 0) is example.fails:
            yield Failure(example.line, f"the run is to end {wanted} (status {status}):\n" + "\n".join(lines))

    def _execute(self, example: Example) -> Iterator[Failure]:
        terminal = example.marks.get("terminal", "")
        if terminal in self._busy:
            yield Failure(example.line, "not executed: an earlier command of this shell has not ended")
            return
        shell = self._shells.get(terminal) or Shell(self._place, terminal)
        self._shells[terminal] = shell
        if problem := self._prepare(shell, example):
            yield problem
        if example.language == "sh":
            if problem := self._execute_strictly(shell, example.line, example.text, terminal, self._seconds):
                yield problem
            return
        commands = read_commands(example)
        for index, command in enumerate(commands):
            may_stay = terminal != "" and index == len(commands) - 1
            yield from self._execute_command(shell, command, terminal, may_stay=may_stay)
            if terminal in self._busy:
                return

    def _translate(self, command: str) -> str:
        return self._place.translate(insert_ids(command, self._ids))

    def _prepare(self, shell: Shell, example: Example) -> Failure | None:
        if commands := example.marks.get("prepare"):
            return self._execute_strictly(
                shell, example.line, commands, example.marks.get("terminal", ""), self._seconds * _PREPARING
            )
        return None

    def _execute_strictly(
        self, shell: Shell, line: int, commands: str, terminal: str, seconds: float
    ) -> Failure | None:
        output = shell.start(_STRICT.format(self._translate(commands)))
        status = shell.wait(seconds)
        if status is None:
            self._busy.add(terminal)
        if status == 0:
            return None
        how = f"do not end within {seconds:.0f} s" if status is None else f"exit with {status}"
        return Failure(line, f"the commands {how}:\n" + "\n".join(self._place.read_output(output)))

    def _execute_command(self, shell: Shell, command: Command, terminal: str, *, may_stay: bool) -> Iterator[Failure]:
        deadline = time.monotonic() + self._seconds
        output = shell.start(self._translate(command.text))
        expected, status = command.expected, None
        if INTERRUPT in expected:
            before = expected[: expected.index(INTERRUPT)]
            status = self._wait_for_output(shell, output, before, deadline)
            if status is None:
                shell.interrupt()
            expected = [line for line in expected if line != INTERRUPT]
        elif may_stay:
            status = self._wait_for_output(shell, output, expected, deadline)
        is_background = command.text.rstrip().endswith("&")
        if status is None and not may_stay:
            status = shell.wait(deadline - time.monotonic())
        if is_background:
            self._wait_for_output(None, output, expected, deadline)
        if status is None:
            self._busy.add(terminal)
        diff = compare(expected, self._place.read_output(output), self._ids)
        if diff:
            late = "" if status is not None or may_stay else f" and does not end within {self._seconds:.0f} s"
            yield Failure(command.line, f"`{command.text}` prints something else{late}:\n" + "\n".join(diff))
        elif status is None and not may_stay:
            yield Failure(command.line, f"`{command.text}` does not end within {self._seconds:.0f} s")

    def _wait_for_output(self, shell: Shell | None, output: Path, expected: list[str], deadline: float) -> int | None:
        """Wait until a command has printed what is expected, or has ended; return its status then."""
        while time.monotonic() < deadline:
            if not compare(expected, self._place.read_output(output), dict(self._ids)):
                return None
            if shell is None:
                time.sleep(_POLL_SECONDS)
            elif (status := shell.wait(_POLL_SECONDS)) is not None:
                return status
        return None


def run_page(examples: list[Example], root: Path, seconds: float) -> Iterator[Failure]:
    """Carry out the blocks of a page below an empty directory; a command or a run may take so many seconds."""
    runner = PageRunner(Place(root), seconds)
    for example in examples:
        yield from runner.carry_out(example)
