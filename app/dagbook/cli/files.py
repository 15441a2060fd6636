"""Files of definitions: reading within the limits of the format, writing whole, and the lines of their problems."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from dagbook.cli.terminal import echo
from dagbook.spec.problem import Problem
from dagbook.spec.reading.yaml_reader import MAX_BYTES

STDIN = Path("-")


class UnreadableFileError(Exception):
    """The reason why a file is no text that can be a definition."""


def read_file(file: Path) -> str:
    """Return the text of a file, or of stdin for ``-``, with its line ends. Raises UnreadableFileError.

    No more is read than the largest definition may have.
    """
    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        elif file.exists() and not file.is_file():
            raise UnreadableFileError("is no file")
        else:
            with file.open("rb") as opened:
                content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError(error.strerror or str(error)) from error
    if len(content) > MAX_BYTES:
        raise UnreadableFileError("is larger than 1 MiB, the limit of a definition")
    if b"\0" in content:
        raise UnreadableFileError("is no text: it holds NUL bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"is not UTF-8 text, at byte {error.start}") from error


def write_file(file: Path, text: str) -> None:
    """Write a file in one piece: a failure leaves what was there. Raises ClickException."""
    target = file.resolve()  # a link stays one
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        if target.exists() and not target.is_file():  # such as /dev/stdout
            target.write_bytes(text.encode())
            return
        with contextlib.ExitStack() as on_failure:
            with temporary.open("xb") as opened:
                on_failure.callback(temporary.unlink)
                opened.write(text.encode())
            if target.exists():
                temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
            on_failure.pop_all()
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


def complain(file: Path | str, problems: Iterable[Problem]) -> None:
    """Print problems, one line each."""
    for problem in problems:
        location = f"{file}:{problem.line}:{problem.column}" if problem.line else str(file)
        echo(f"{location}: {describe(problem)}", err=True)


def describe(problem: Problem) -> str:
    """Describe a problem without its position."""
    return ": ".join(part for part in (problem.dag, problem.path, problem.message) if part)
