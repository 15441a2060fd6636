"""``dagbook cleanup``: runs beyond their retention limits, deleted or listed."""

from __future__ import annotations

import re
import sys
from typing import Any

import click
import uvloop

from dagbook.cli.client import Api, Mode, body_of, open_api
from dagbook.cli.db import format_bytes
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, current_settings, settings_options, wants_json
from dagbook.cli.output import print_json, print_table, report
from dagbook.cli.terminal import echo
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
            self.fail(f"{value!r} is not an age; write a number and s, m, h, d or w, such as 30d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class _Bytes(click.ParamType[int]):
    name = "BYTES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", str(value))
        if found is None:
            self.fail(f"{value!r} is not a size; write a number of bytes, optionally with K, M, G or T", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


@click.command(cls=GlobalOptions, example="dagbook cleanup etl --older-than 30d --dry-run")
@click.argument("name", required=False, metavar="[DAG]")
@click.option("--older-than", type=_Age(), help="Delete runs that finished longer ago, such as 30d or 12h; 0d: all.")
@click.option("--retention-days", type=click.IntRange(0), metavar="N", help="The same in days.")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep the newest N runs of each DAG.")
@click.option("--log-bytes", type=_Bytes(), help="Keep at most this many bytes of logs of each DAG, such as 10G.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@settings_options("database_url", "base_config")
@friendly_errors
def cleanup(**options: Any) -> None:
    """Delete runs and their logs, of one DAG (by the name of its runs) or of all.

    Without limits on the command line, the limits of each DAG apply: those set for it, in its definition or in the
    settings. Unfinished runs are never deleted, nor is anything that they need.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    uvloop.run(_cleanup(settings, options))


async def _cleanup(settings: Settings, options: dict[str, Any]) -> None:
    async with open_api(settings, "cleanup", Mode.READ) as api:
        request = _request(options)
        plan = body_of(await api.client.post(_PATH, json=request | {"dryRun": True}))
        is_done = options["dry_run"] or not (plan["runs"] or plan["more"])
        if wants_json():
            print_json({"plan": plan})
        else:
            _print_plan(plan)
        if is_done:
            return
        if not options["yes"] and not sys.stdin.isatty():
            raise click.ClickException("no terminal to ask for confirmation; add --yes to delete them, or --dry-run")
        if not options["yes"]:
            click.confirm(f"Delete {plan['runs']} runs?", abort=True, err=True)
        await _delete(api, request)


def _request(options: dict[str, Any]) -> dict[str, Any]:
    days = options["retention_days"]
    if days is not None and options["older_than"] is not None:
        raise click.UsageError("--older-than and --retention-days exclude each other; give one of them")
    age = options["older_than"] if days is None else days * _SECONDS["d"]
    fields = {"dagName": options["name"], "olderThanSeconds": age, "keep": options["keep"]}
    fields["logBytes"] = options["log_bytes"]
    return {field: value for field, value in fields.items() if value is not None}


def _print_plan(plan: dict[str, Any]) -> None:
    rows = [
        (dag["name"], str(dag["runs"]), format_bytes(dag["logBytes"]), ", ".join(dag["reasons"]) or "-")
        for dag in plan["dags"]
    ]
    if rows:
        print_table(("DAG", "RUNS", "LOGS", "BEYOND"), rows)
    more = " or more" if plan["more"] else ""
    echo(f"{plan['runs']}{more} runs with {format_bytes(plan['logBytes'])} of logs are beyond their limits")


async def _delete(api: Api, request: dict[str, Any]) -> None:
    runs, log_bytes, more = 0, 0, True
    while more:
        deleted = body_of(await api.client.post(_PATH, json=request))
        runs, log_bytes, more = runs + deleted["runs"], log_bytes + deleted["logBytes"], deleted["more"]
        if more and sys.stderr.isatty():
            echo(f"deleted {runs} runs so far", err=True)
    report(
        f"deleted {runs} runs, sub-runs included, with {format_bytes(log_bytes)} of logs",
        {"deleted": {"runs": runs, "logBytes": log_bytes}},
    )
