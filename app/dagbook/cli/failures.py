"""Errors of the database and of files, said in a terminal as one sentence."""

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
    """Let a command end with a sentence where the database, or a file or folder that it needs, cannot be used."""

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
