"""Database and file errors, turned into one-line messages of commands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.migrations.migration_support import MigrationFailed
from dagbook.db.migrations.upgrade_postgres import UnusableDatabase
from dagbook.db.sqlite.lock_file import DatabaseOwned

P = ParamSpec("P")
T = TypeVar("T")


def friendly_errors(command: Callable[P, T]) -> Callable[P, T]:
    """Turn errors of the database, and of files and folders, into ``ClickException``."""

    @wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (DatabaseOwned, UnusableDatabase, MigrationFailed) as error:
            raise click.ClickException(str(error)) from error
        except DatabaseUnavailable as error:
            raise click.ClickException(f"the database is unavailable: {error}") from error
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error

    return wrapped
