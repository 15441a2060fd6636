"""Texts of definitions, of files within the limits of the format and of stored DAGs; the lines of their problems."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from dagbook.api.schemas.dags import Spec
from dagbook.cli.api import Api, use_api
from dagbook.cli.output import echo
from dagbook.cli.profiles import chosen_server
from dagbook.cli.settings import current_settings, friendly_errors
from dagbook.identifiers import is_name, strip_suffix
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


def read_text(file: Path, missing: str | None = None) -> str:
    """Return the text of a file, ``missing`` if there is no such file; raises ClickException if it is unreadable."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if missing is None:
            raise click.ClickException(f"{file}: {error.strerror}") from error
        return missing
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise click.ClickException(f"{file}: {reason}") from error


def is_stored(file: Path) -> bool:
    """Whether an argument names a stored DAG: a valid DAG name, and no file of that name exists."""
    return is_name(strip_suffix(str(file))) and not os.path.exists(file)  # noqa: PTH110 - pathlib's raises errors


def read_definition(file: Path) -> tuple[str, str]:
    """Return the text of a file or of a stored DAG, and the DAG's name when the text gives none.

    Raises ClickException when there is neither.
    """
    return (_read_stored(file), strip_suffix(str(file))) if is_stored(file) else (read_text(file), file.stem)


def _read_stored(name: Path) -> str:
    from dagbook.db.url import sqlite_path  # noqa: PLC0415 - takes a second, which commands with a file are spared

    settings = current_settings()
    missing = click.ClickException(f"there is no file and no stored DAG named {str(name)!r}")
    database = sqlite_path(settings.database_url)
    if chosen_server() is None and database is not None and not database.exists():
        raise missing

    async def read(api: Api) -> str:
        found = await api.find(f"/dags/{strip_suffix(str(name))}/spec", Spec)
        if found is None:
            raise missing
        return found.spec

    return friendly_errors(lambda: use_api(read))()


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
