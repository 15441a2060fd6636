"""``dagbook config``: the effective settings and where each one comes from."""

from __future__ import annotations

import json
import re

import click

from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.settings import TABLE, Settings
from dagbook.settings.types import Displayed

_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/_.:@*+%?=&-]*")


_SECRETS = ", ".join(setting.variable for setting in TABLE if setting.kind.is_secret)


@click.command(
    cls=GlobalOptions, epilog=f"Secrets have no option, because other users can read command lines: {_SECRETS}."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@settings_options(*(setting.name for setting in TABLE if setting.name != "home"))
def config(*, as_json: bool) -> None:
    """Print every setting, its value and its origin; secrets are not shown.

    The options are those of other commands; here they only show their effect.
    """
    settings = current_settings()
    click.echo(_as_json(settings) if as_json else _as_yaml(settings))


def _displayed(settings: Settings) -> dict[str, Displayed]:
    return {setting.name: setting.kind.display(getattr(settings, setting.name)) for setting in TABLE}


def _as_json(settings: Settings) -> str:
    rows = {name: {"value": value, "origin": settings.origins[name]} for name, value in _displayed(settings).items()}
    return json.dumps(rows, indent=2, ensure_ascii=False)


def _as_yaml(settings: Settings) -> str:
    lines = {f"{name}: {_scalar(value)}": settings.origins[name] for name, value in _displayed(settings).items()}
    width = max(map(len, lines))
    return "\n".join(f"{line:{width}}  # {origin}" for line, origin in lines.items())


def _scalar(value: Displayed) -> str:
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return text if _NEEDS_NO_QUOTES.fullmatch(text) else json.dumps(value, ensure_ascii=False)
