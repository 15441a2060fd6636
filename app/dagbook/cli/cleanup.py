"""``dagbook cleanup``: runs that are not to be kept, removed or shown."""

from __future__ import annotations

import re
import sys
from typing import Any

import click
import uvloop

from dagbook.cli.client import Api, body_of, open_api
from dagbook.cli.doctor import show_bytes
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.cli.people import print_table
from dagbook.cli.server_transport import Mode
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_PATH = "/retention/cleanup"


class _Age(click.ParamType[int]):
    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([smhdw])", str(value))
        if found is None:
            self.fail(f"{value!r} is no age; write a number and s, m, h, d or w, such as 30d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class _Bytes(click.ParamType[int]):
    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is no size; write a number of bytes, or one with K, M, G or T behind it", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command(cls=GlobalOptions)
@click.argument("name", required=False, metavar="[DAG]")
@click.option("--older-than", type=_Age(), help="Remove runs that ended longer ago, such as 30d or 12h; 0d: all.")
@click.option("--retention-days", type=click.IntRange(0), metavar="N", help="The same in days.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep so many runs of each DAG, the newest.")
@click.option("--log-bytes", type=_Bytes(), help="Keep so many bytes of logs of each DAG, such as 10G.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@settings_options("database_url", "base_config")
@friendly_errors
def cleanup(**options: Any) -> None:
    """Remove runs with their logs, of the DAG named like its runs or of all DAGs.

    Without limits on the command line those count that are set for each DAG, in its text or in the settings. Runs
    that are not over are never removed, and neither is what such a run needs.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    uvloop.run(_cleanup(settings, options))


async def _cleanup(settings: Settings, options: dict[str, Any]) -> None:
    async with open_api(settings, "cleanup", Mode.READ) as api:
        wish = _request(options)
        going = body_of(await api.client.post(_PATH, json=wish | {"dryRun": True}))
        _print_plan(going)
        if options["dry_run"] or not (going["runs"] or going["more"]):
            return
        if not options["yes"]:
            _confirm(going["runs"])
        await _remove(api, wish)


def _request(options: dict[str, Any]) -> dict[str, Any]:
    days = options["retention_days"]
    if days is not None and options["older_than"] is not None:
        raise click.UsageError("--older-than and --retention-days say the same; write one of them")
    age = options["older_than"] if days is None else days * _SECONDS["d"]
    said = {"dagName": options["name"], "olderThanSeconds": age, "keep": options["keep"]}
    said["logBytes"] = options["log_bytes"]
    return {field: value for field, value in said.items() if value is not None}


def _print_plan(going: dict[str, Any]) -> None:
    rows = [
        (dag["name"], str(dag["runs"]), show_bytes(dag["logBytes"]), ", ".join(dag["reasons"]) or "-")
        for dag in going["dags"]
    ]
    if rows:
        print_table(("DAG", "RUNS", "LOGS", "BEYOND"), rows)
    more = " or more" if going["more"] else ""
    click.echo(f"{going['runs']}{more} runs with {show_bytes(going['logBytes'])} of logs are not to be kept")


def _confirm(count: int) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException("nobody can be asked here; add --yes to remove them, or --dry-run to see them only")
    click.confirm(f"Remove {count} runs?", abort=True, err=True)


async def _remove(api: Api, wish: dict[str, Any]) -> None:
    runs, log_bytes, more = 0, 0, True
    while more:
        gone = body_of(await api.client.post(_PATH, json=wish))
        runs, log_bytes, more = runs + gone["runs"], log_bytes + gone["logBytes"], gone["more"]
    click.echo(f"removed {runs} runs, those that they called included, with {show_bytes(log_bytes)} of logs")
