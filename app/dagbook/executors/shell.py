"""The command executor: makes the command line of an evaluated step (DAG format 3.4, runtime 9)."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dagbook.executors.contract import Command, ExecutionFiles, SetupError, step_files
from dagbook.spec.expansion import shell_words
from dagbook.spec.expansion.shell_commands import POSIX_SHELLS
from dagbook.spec.expansion.shell_quotes import program_name

DIRECT = "direct"  # as the shell of a step: no shell runs the program
_POWER_SHELLS = frozenset({"pwsh", "powershell"})
_SUFFIXES = {"pwsh": ".ps1", "powershell": ".ps1", "cmd": ".bat"}
_SHEBANG_LIMIT = 4096
_POWER_SHELL_HEAD = "$ErrorActionPreference = 'Stop'\n$PSNativeCommandUseErrorActionPreference = $true\n"


class ShellTexts(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluated texts of a step, and its shell."""

    line: str = ""
    program: str = ""
    args: tuple[str, ...] = ()
    script: str = ""
    values: Mapping[str, str] = {}  # of references in statements of SQL, which keep them
    shell: tuple[str, ...] = ()
    own_shell: bool = False  # the shell is the step's, not the DAG's: no -e, and no shebang
    packages: tuple[str, ...] = ()
    following: tuple[ShellTexts, ...] = ()  # of several command lines: those after the first

    @property
    def shown(self) -> dict[str, Sequence[str]]:
        """Program and arguments, and the lines if these do not tell them: parts have lost the quotes of a line."""
        parts = {"command": self.program, "args": list(self.args)}
        line = "\n".join((self.line, *(each.line for each in self.following)))
        return parts if line in ("", " ".join((self.program, *self.args))) else {**parts, "line": line}


def program_of(texts: ShellTexts, script_file: str | None) -> tuple[str, ...]:
    """Choose program and arguments. Raises SetupError when there is nothing to run."""
    name = _shell_name(texts)
    if name == DIRECT or not texts.shell or (texts.program and script_file):
        if not texts.program:
            raise SetupError("without a shell the step needs a program to run")
        return (texts.program, *texts.args, *([script_file] if script_file else []))
    if script_file:
        return _for_script(texts, name, script_file)
    if not texts.line:
        raise SetupError("the step has no command to run")
    return _for_line(texts, name)


def _shell_name(texts: ShellTexts) -> str:
    return program_name(texts.shell[0]) if texts.shell else ""


def _for_line(texts: ShellTexts, name: str) -> tuple[str, ...]:
    shell = texts.shell
    if name in _POWER_SHELLS:
        return (*shell, "-Command", texts.line)
    if name == "cmd":
        return (*shell, "/c", texts.line)
    if name == "nix-shell":
        return _nix(texts, texts.line)
    dash_c = () if "-c" in shell[1:] else ("-c",)
    return (*shell, *_stop_at_errors(texts, name), *dash_c, texts.line)


def _for_script(texts: ShellTexts, name: str, script_file: str) -> tuple[str, ...]:
    shell = texts.shell
    if not texts.own_shell and (interpreter := shebang(texts.script)):
        return (*interpreter, script_file)
    if name in _POWER_SHELLS:
        return (*shell, "-ExecutionPolicy", "Bypass", "-File", script_file)
    if name == "cmd":
        return (*shell, "/c", script_file)
    if name == "nix-shell":
        return _nix(texts, script_file)
    return (*shell, *_stop_at_errors(texts, name), script_file)


def _nix(texts: ShellTexts, line: str) -> tuple[str, ...]:
    packages = [word for package in texts.packages for word in ("-p", package)]
    purity = () if {"--pure", "--impure"} & set(texts.shell) else ("--pure",)
    guard = "" if texts.own_shell else "set -e; "
    return (*texts.shell, *packages, *purity, "--run", guard + line)


def _stop_at_errors(texts: ShellTexts, name: str) -> tuple[str, ...]:
    wanted = name in POSIX_SHELLS and not texts.own_shell and "-e" not in texts.shell[1:]
    return ("-e",) if wanted else ()


def shebang(script: str) -> Sequence[str]:
    """Split the shebang line of a script; empty when it has none."""
    first = script.split("\n", 1)[0][:_SHEBANG_LIMIT]
    if not first.startswith("#!") or not first[2:].strip():
        return ()
    return tuple(shell_words.split(first[2:].strip()))


def build(texts: ShellTexts, *, cwd: Path, env: Mapping[str, str], files: ExecutionFiles, account: str = "") -> Command:
    """Make the command of an execution and write its script file. Raises SetupError."""
    make_directory(cwd, account)
    if _shell_name(texts) == "nix-shell" and shutil.which(texts.shell[0], path=env.get("PATH")) is None:
        raise SetupError("the step's shell is nix-shell, which this machine does not have; install Nix to run it")
    script_file = _write_script(texts, cwd, files, account) if texts.script else None
    following = tuple(program_of(each, None) for each in texts.following)
    return Command(argv=program_of(texts, script_file), following=following, cwd=cwd, env=env, account=account)


def make_directory(cwd: Path, account: str = "") -> None:
    """Make the working directory of a command. Raises SetupError."""
    try:
        with step_files(account):
            if not cwd.is_dir():
                cwd.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the working directory could not be made: {error}") from error


def _write_script(texts: ShellTexts, cwd: Path, files: ExecutionFiles, account: str) -> str:
    name = _shell_name(texts)
    text = _POWER_SHELL_HEAD + texts.script if name in _POWER_SHELLS else texts.script
    path = cwd / f"dagbook_script-{secrets.token_hex(8)}{_SUFFIXES.get(name, '.sh')}"
    try:
        # By the link a server that adopts the execution finds the script to remove.
        files.path("script").symlink_to(path)
        with step_files(account):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            path.chmod(0o750)
    except OSError as error:
        raise SetupError(f"the script could not be written: {error}") from error
    return str(path)


def remove_script(files: ExecutionFiles, account: str = "") -> None:
    """Remove the script file that ``build`` wrote, if any."""
    link = files.path("script")
    if link.is_symlink():
        script = link.readlink()
        with step_files(account):
            script.unlink(missing_ok=True)
        link.unlink(missing_ok=True)
