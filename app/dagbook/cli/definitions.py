"""Definition texts for commands, from a file or a stored DAG."""

from __future__ import annotations

import asyncio
import os
from http import HTTPStatus
from pathlib import Path

import click

from dagbook.cli.options import current_settings
from dagbook.identifiers import is_name, strip_suffix


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


def read_definition(file: Path, command: str) -> tuple[str, str]:
    """Return the text of a file or of a stored DAG, and the DAG's name when the text gives none.

    Raises ClickException when there is neither.
    """
    return (_read_stored(file, command), strip_suffix(str(file))) if is_stored(file) else (read_text(file), file.stem)


def _read_stored(name: Path, command: str) -> str:
    # These imports take a second, which commands with a file are spared.
    from dagbook.cli.client import body_of, open_api  # noqa: PLC0415
    from dagbook.cli.failures import friendly_errors  # noqa: PLC0415
    from dagbook.cli.server_transport import Mode  # noqa: PLC0415
    from dagbook.db.url import sqlite_path  # noqa: PLC0415

    settings = current_settings()
    missing = click.ClickException(f"there is no file and no stored DAG named {str(name)!r}")
    database = sqlite_path(settings.database_url)
    if database is not None and not database.exists():
        raise missing

    async def read() -> str:
        async with open_api(settings, command, Mode.READ) as api:
            answer = await api.client.get(f"/dags/{strip_suffix(str(name))}/spec")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                raise missing
            return str(body_of(answer)["spec"])

    return friendly_errors(lambda: asyncio.run(read()))()
