"""``dagbook config``: the effective settings and where each one comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import click

from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.settings import TABLE
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
    displayed = {setting.name: setting.kind.display(getattr(settings, setting.name)) for setting in TABLE}
    if as_json:
        rows = {name: {"value": value, "origin": settings.origins[name]} for name, value in displayed.items()}
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print_yaml(displayed, settings.origins)


def _print_yaml(displayed: Mapping[str, Displayed], origins: Mapping[str, str]) -> None:
    lines: dict[str, str] = {}
    for name, value in displayed.items():
        text = json.dumps(value) if isinstance(value, bool) else str(value)
        scalar = text if _NEEDS_NO_QUOTES.fullmatch(text) else json.dumps(value, ensure_ascii=False)
        lines[f"{name}: {scalar}"] = origins[name]
    width = max(map(len, lines))
    for line, origin in lines.items():
        click.echo(f"{line:{width}}  # {origin}")
