"""``dagbook cleanup``: runs beyond their retention limits, deleted or listed."""

from __future__ import annotations

import re
import sys

import click
import msgspec

from dagbook.api.schemas.maintenance import CleanedUp, CleanUp
from dagbook.cli.api import Api, decode, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.output import echo, format_bytes, print_json, print_table, report, wants_json

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_PATH = "/retention/cleanup"


class _Age(click.ParamType[int]):
    name = "AGE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,9})([smhdw])", value)
        if found is None:
            self.fail(f"{value!r} is not an age; write a number and s, m, h, d or w, such as 30d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


class _Bytes(click.ParamType[int]):
    name = "BYTES"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", value)
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
@with_api("database_url", "base_config")
async def cleanup(  # noqa: PLR0913 - one for each option
    api: Api,
    *,
    name: str | None,
    older_than: int | None,
    retention_days: int | None,
    keep: int | None,
    log_bytes: int | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Delete runs and their logs, of one DAG (by the name of its runs) or of all.

    Without limits on the command line, the limits of each DAG apply: those set for it, in its definition or in the
    settings. Unfinished runs are never deleted, nor is anything that they need.
    """
    if retention_days is not None and older_than is not None:
        raise click.UsageError("--older-than and --retention-days exclude each other; give one of them")
    age = older_than if retention_days is None else retention_days * _SECONDS["d"]
    request = CleanUp(dag_name=name, older_than_seconds=age, keep=keep, log_bytes=log_bytes)
    answer = await api.send("POST", _PATH, msgspec.structs.replace(request, dry_run=True))
    plan = decode(answer, CleanedUp)
    if wants_json():
        print_json({"plan": answer.json()})  # with numbers as the server writes them, whole or not
    else:
        _print_plan(plan)
    if dry_run or not (plan.runs or plan.more):
        return
    if not yes and not sys.stdin.isatty():
        raise click.ClickException("no terminal to ask for confirmation; add --yes to delete them, or --dry-run")
    if not yes:
        click.confirm(f"Delete {plan.runs} runs?", abort=True, err=True)
    await _delete(api, request)


def _print_plan(plan: CleanedUp) -> None:
    rows = [
        (dag.name, str(dag.runs), format_bytes(dag.log_bytes), ", ".join(dag.reasons) or "-") for dag in plan.dags or ()
    ]
    if rows:
        print_table(("DAG", "RUNS", "LOGS", "BEYOND"), rows)
    for run in plan.kept or ():
        echo(f"run {run.dag_run_id} of DAG {run.name} is kept: its next run begins from the outputs of this one")
    more = " or more" if plan.more else ""
    echo(f"{plan.runs}{more} runs with {format_bytes(plan.log_bytes)} of logs are beyond their limits")


async def _delete(api: Api, request: CleanUp) -> None:
    runs, log_bytes, more = 0, 0, True
    while more:
        deleted = await api.post(_PATH, CleanedUp, request)
        runs, log_bytes, more = runs + deleted.runs, log_bytes + deleted.log_bytes, deleted.more
        if more and sys.stderr.isatty():
            echo(f"deleted {runs} runs so far", err=True)
    report(
        f"deleted {runs} runs, sub-runs included, with {format_bytes(log_bytes)} of logs",
        {"deleted": {"runs": runs, "logBytes": log_bytes}},
    )
