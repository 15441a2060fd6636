"""Options that several commands share, and the settings that come of them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from app.settings import TABLE, Settings, read
from app.settings.table import Setting

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
_SHORT_FLAGS = {"host": "-s", "port": "-p"}


class GlobalOptions(click.Command):
    """A command that takes the global options too, so that they may stand before or after its name."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """List the command's own parameters and the global ones."""
        return [*super().get_params(ctx), *_global_options()]


def settings_options(*names: str) -> Callable[[_Decorated], _Decorated]:
    """Give a command one option per setting, named as in the table; ``current_settings`` sees what is given.

    A command that takes ``database_url`` takes ``database_schema``, too.
    """
    wanted = {*names, "database_schema"} if "database_url" in names else set(names)
    chosen = [setting for setting in TABLE if setting.name in wanted and not setting.kind.is_secret]

    def decorate(function: _Decorated) -> _Decorated:
        for setting in reversed(chosen):
            function = _settings_option(setting)(function)
        return function

    return decorate


def current_settings() -> Settings:
    """Read the settings of the command that is running. Raises ``SettingsError``."""
    return read(_flags(click.get_current_context()), os.environ, Path("~/.dagbook"))


def _settings_option(setting: Setting) -> Callable[[_Decorated], _Decorated]:
    names = [name for name in (_SHORT_FLAGS.get(setting.name), setting.flag) if name]
    text = f"{setting.meaning} [{setting.kind.name}; default: {setting.default or 'empty'}; {setting.variable}]"
    alone: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if setting.kind.is_switch else {}
    return click.option(
        *names, setting.name, metavar="VALUE", help=text, expose_value=False, callback=_note_flag, **alone
    )


def _flags(context: click.Context) -> dict[str, str]:
    # One dict from the outermost command down: an option counts wherever on the line it stands.
    flags: dict[str, str] = context.find_root().ensure_object(dict)
    return flags


def _note_flag(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        _flags(context)[str(parameter.name)] = value


def _global_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-c", "--config"],
            metavar="FILE",
            help="Settings file to read in place of dagbook.yaml in the home.",
            expose_value=False,
            callback=_note_flag,
        ),
        click.Option(["--home"], metavar="DIR", help=TABLE[0].meaning, expose_value=False, callback=_note_flag),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            help="Print nothing; the exit status tells.",
            expose_value=False,
            callback=_silence,
        ),
    ]


class _Silence(io.TextIOBase):
    """A stream that takes everything and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def _silence(_context: click.Context, _parameter: click.Parameter, quiet: bool) -> None:
    if quiet:
        sys.stdout = sys.stderr = _Silence()
