"""From evaluated texts to the program that is run (DAG format 3.4, runtime 9.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagbook.executors import shell
from dagbook.executors.contract import ExecutionFiles, SetupError
from dagbook.executors.shell import ShellTexts

TO_SHELL = ShellTexts(line="true", shell=("sh",))  # noqa: S604 - the name of a field


def _texts(**values: Any) -> ShellTexts:
    return ShellTexts(**{"line": "echo a b", "program": "echo", "args": ("a", "b"), **values})


@pytest.mark.parametrize(
    ("words", "own", "expected"),
    [
        (["/bin/sh"], False, ["/bin/sh", "-e", "-c", "echo a b"]),
        (["/bin/sh"], True, ["/bin/sh", "-c", "echo a b"]),
        (["bash", "-e"], False, ["bash", "-e", "-c", "echo a b"]),
        (["bash", "-o", "pipefail"], False, ["bash", "-o", "pipefail", "-e", "-c", "echo a b"]),
        (["bash", "-c"], True, ["bash", "-c", "echo a b"]),
        (["zsh"], False, ["zsh", "-e", "-c", "echo a b"]),
        (["ksh"], False, ["ksh", "-e", "-c", "echo a b"]),
        (["ash"], False, ["ash", "-e", "-c", "echo a b"]),
        (["dash"], False, ["dash", "-e", "-c", "echo a b"]),
        (["fish"], False, ["fish", "-c", "echo a b"]),
        (["/opt/own"], False, ["/opt/own", "-c", "echo a b"]),
        (["pwsh"], False, ["pwsh", "-Command", "echo a b"]),
        (["PowerShell.exe"], False, ["PowerShell.exe", "-Command", "echo a b"]),
        (["cmd.exe"], False, ["cmd.exe", "/c", "echo a b"]),
        (["direct"], True, ["echo", "a", "b"]),
        ([], False, ["echo", "a", "b"]),
    ],
)
def test_a_line_goes_to_its_shell_in_the_shell_s_own_way(words: list[str], own: bool, expected: list[str]) -> None:
    assert list(shell.program_of(_texts(shell=tuple(words), own_shell=own), None)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"packages": ("jq", "curl")}, ["-p", "jq", "-p", "curl", "--pure", "--run", "set -e; echo a b"]),
        ({"own_shell": True}, ["--pure", "--run", "echo a b"]),
        ({"shell": ("nix-shell", "--impure")}, ["--impure", "--run", "set -e; echo a b"]),
    ],
)
def test_nix_shell_gets_packages_and_purity(values: dict[str, Any], expected: list[str]) -> None:
    assert list(shell.program_of(_texts(**{"shell": ("nix-shell",), **values}), None)) == ["nix-shell", *expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"shell": ("sh",)}, ["sh", "-e", "F"]),
        ({"shell": ("sh",), "own_shell": True}, ["sh", "F"]),
        ({"shell": ("fish",)}, ["fish", "F"]),
        ({"shell": ("pwsh",)}, ["pwsh", "-ExecutionPolicy", "Bypass", "-File", "F"]),
        ({"shell": ("cmd",)}, ["cmd", "/c", "F"]),
        ({"shell": ("nix-shell",)}, ["nix-shell", "--pure", "--run", "set -e; F"]),
        ({"shell": ("sh",), "script": "#!/usr/bin/env -S python3 -u\nx"}, ["/usr/bin/env", "-S", "python3", "-u", "F"]),
        ({"shell": ("sh",), "script": "#!/bin/x\nx", "own_shell": True}, ["sh", "F"]),
        ({"shell": ("sh",), "script": "#!\nx"}, ["sh", "-e", "F"]),
        ({"shell": ("sh",), "program": "python3", "args": ("-u",)}, ["python3", "-u", "F"]),
        ({"shell": ("direct",), "program": "python3", "args": ()}, ["python3", "F"]),
    ],
)
def test_a_script_is_run_by_what_stands_in_it_or_by_the_shell(values: dict[str, Any], expected: list[str]) -> None:
    texts = ShellTexts(**{"script": "x", **values})
    assert list(shell.program_of(texts, "F")) == expected


@pytest.mark.parametrize("words", [("sh",), ("direct",), ()])
def test_without_anything_to_run_there_is_no_program(words: tuple[str, ...]) -> None:
    with pytest.raises(SetupError):
        shell.program_of(ShellTexts(shell=words), None)


def test_a_shebang_beyond_four_kilobytes_is_not_looked_at() -> None:
    assert shell.shebang("#!/bin/sh " + "x" * 5000)[0] == "/bin/sh"
    assert sum(map(len, shell.shebang("#!/bin/sh " + "x" * 5000))) < 4096


@pytest.mark.parametrize(
    ("words", "suffix", "head"), [(("sh",), ".sh", ""), (("pwsh",), ".ps1", "$Error"), (("cmd",), ".bat", "")]
)
def test_a_script_is_written_where_the_step_works_and_removed(
    files: ExecutionFiles, tmp_path: Path, words: tuple[str, ...], suffix: str, head: str
) -> None:
    cwd = tmp_path / "new" / "work"
    command = shell.build(ShellTexts(script="the text", shell=words), cwd=cwd, env={}, files=files)
    written = Path(command.argv[-1])
    assert (written.parent, written.suffix) == (cwd, suffix)
    assert written.stat().st_mode & 0o777 == 0o750
    assert written.read_text().startswith(head)
    assert written.read_text().endswith("the text")
    shell.remove_script(files)
    assert list(cwd.iterdir()) == []
    shell.remove_script(files)  # harmless when repeated


def test_a_directory_that_cannot_be_made_is_said(files: ExecutionFiles) -> None:
    with pytest.raises(SetupError, match="working directory"):
        shell.build(TO_SHELL, cwd=Path("/proc/none"), env={}, files=files)


def test_a_script_that_cannot_be_written_is_said(files: ExecutionFiles) -> None:
    texts = msgspec.structs.replace(TO_SHELL, script="x")
    with pytest.raises(SetupError, match="script"):
        shell.build(texts, cwd=Path("/proc"), env={}, files=files)


def test_a_missing_nix_shell_is_reported(files: ExecutionFiles, tmp_path: Path) -> None:
    nix = ShellTexts(line="ls", program="ls", shell=("nix-shell",))  # noqa: S604 - it is the name of one
    with pytest.raises(SetupError, match="nix-shell, which this machine does not have"):
        shell.build(nix, cwd=tmp_path, env={"PATH": str(tmp_path)}, files=files)
