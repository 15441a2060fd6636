"""The settings of a command, the options that give them, and the decorator that brings both."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from dagbook.cli.commands import JSON_ATTRIBUTES, IgnoredOption, LocalOptions, flags_of, record_flag
from dagbook.cli.output import echo, notice
from dagbook.cli.profiles import TOKEN_VARIABLE, chosen_server
from dagbook.settings import TABLE, Settings, read
from dagbook.settings.dagu import find_ignored
from dagbook.settings.definitions import FILE_NAME, REMOVED, AnySetting, flag_of
from dagbook.unix.privacy import wipe_variables

P = ParamSpec("P")
T = TypeVar("T")
_Decorated = TypeVar("_Decorated", bound=Callable[..., object])
_SETTINGS = "dagbook.settings"
_SHORT_FLAGS = {"host": "-s", "port": "-p"}


def with_settings(*names: str, ignored: Sequence[IgnoredOption] = ()) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Give a command one option per setting, named as in the table; ``current_settings`` reads them.

    A command that takes ``database_url`` also takes ``database_schema``. Options of removed settings are hidden, and so
    are the ``ignored`` options of Dagu. Errors of the database and of files become messages.
    """
    included = {*names, "database_schema"} if "database_url" in names else set(names)
    chosen = [setting for setting in TABLE if setting.name in included and not setting.kind.is_secret]

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        command = friendly_errors(function)
        for one in ignored:
            command = click.option(*one.declarations, **one.attributes)(command)
        for setting in reversed(chosen):
            command = _settings_option(setting)(command)
        for name in REMOVED.keys() & included:
            command = click.option(flag_of(name), name, hidden=True, expose_value=False, callback=record_flag)(command)
        return command

    return decorate


def _settings_option(setting: AnySetting) -> Callable[[_Decorated], _Decorated]:
    names = [name for name in (_SHORT_FLAGS.get(setting.name), setting.flag) if name]
    text = f"{setting.meaning} [{setting.kind.name}; default: {setting.default or 'empty'}; {setting.variable}]"
    optional: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if setting.kind.is_switch else {}
    return click.option(
        *names, setting.name, metavar="VALUE", help=text, expose_value=False, callback=record_flag, **optional
    )


def json_option(function: _Decorated) -> _Decorated:
    """Let a command of this machine print JSON."""
    return click.option("--json", **JSON_ATTRIBUTES)(function)


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


def current_settings(home: Path = Path("~/.dagbook")) -> Settings:
    """Read the settings of the command that is running, once. Raises ``SettingsError``.

    ``home`` is the one without another choice. When the command owns its process, the variables with credentials are
    then gone.
    """
    context = click.get_current_context()
    meta = context.meta  # shared by all nested commands
    if _SETTINGS not in meta:
        meta[_SETTINGS] = read(flags_of(context), os.environ, home)
        if not isinstance(context.command, LocalOptions):
            chosen_server()  # reads its token, which is gone from the environment as well
        if context.obj:
            wipe_variables(meta[_SETTINGS].credential_variables | {TOKEN_VARIABLE})
    settings: Settings = meta[_SETTINGS]
    return settings


def uses_defaults(*names: str) -> bool:
    """Whether the command that is running, its variables and the file given by ``--config`` leave these settings out.

    The file in the usual home is not read. Raises ``SettingsError``.
    """
    settings = read(flags_of(click.get_current_context()), os.environ, Path(os.devnull))
    return all(settings.origins[name] == "default" for name in names)


def chosen_file() -> str:
    """Return the settings file that is given to the command that is running, empty for the one in the home."""
    return flags_of(click.get_current_context()).get("config") or os.environ.get("DAGBOOK_CONFIG", "")


def warn_about_unused(settings: Settings) -> None:
    """Print one notice about removed settings, and about configuration of Dagu that has no effect."""
    has_own_file = bool(chosen_file()) or (settings.home / FILE_NAME).exists()
    if unread := [*settings.notices, *find_ignored(settings, os.environ, has_own_file=has_own_file)]:
        notice("; ".join(unread))


def warn_of_evaluation(settings: Settings) -> None:
    """Warn of a setting that makes commands of what callers send; a worker does so as well."""
    if settings.evaluate_caller_values:
        risk = "EVERYONE who may start a run can run commands as this user: evaluate_caller_values is true"
        echo(f"Warning: {risk}", fg="red", bold=True, err=True)
