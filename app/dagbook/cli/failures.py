"""Database and file errors, turned into one-line messages of commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
T = TypeVar("T")


def friendly_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn errors of the database, and of files and folders, into ``ClickException``."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except click.ClickException:
            raise
        except Exception as error:
            if (message := _explain(error)) is None:
                raise
            raise click.ClickException(message) from error

    return wrapped


def _explain(error: Exception) -> str | None:
    """Return the message of an error that users can act on; None for one of the program."""
    # Imported for an error only: these bring the database's libraries, which take longer than most commands.
    from dagbook.db.errors import DatabaseUnavailable  # noqa: PLC0415
    from dagbook.db.migrations.migration_support import MigrationFailed  # noqa: PLC0415
    from dagbook.db.migrations.upgrade_postgres import UnusableDatabase  # noqa: PLC0415
    from dagbook.db.sqlite.lock_file import DatabaseOwned  # noqa: PLC0415

    match error:
        case DatabaseOwned() | UnusableDatabase() | MigrationFailed():
            return str(error)
        case DatabaseUnavailable():
            return f"the database is unavailable: {error}"
        case OSError() if error.filename is not None:
            return f"{error.filename}: {error.strerror}"
        case _:
            return None
