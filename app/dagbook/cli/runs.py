"""``dagbook runs``: runs, listed and looked for."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime
from typing import Any

import click
import httpx

from dagbook.cli.client import body_of, open_api, runs_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, current_settings, settings_options
from dagbook.cli.people import print_table
from dagbook.cli.server_transport import Mode
from dagbook.engine.status import RunStatus
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure

_DAY_SECONDS = 86_400
_MOST_PER_PAGE = 1000
_LABELS = {status.label.replace("_", "-"): status for status in RunStatus}


@click.command(cls=GlobalOptions)
@click.argument("name", required=False, default="", metavar="[NAME]")
@click.option("--status", type=click.Choice(sorted(_LABELS)), help="How they stand.")
@click.option("--tag", multiple=True, help="A tag that they ran with; may be given again, then all count.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="A parameter that they had; may be given again.")
@click.option("--trigger", help="What started them: api, call, reschedule …")
@click.option("--actor", help="Who started them.")
@click.option("--revision", type=click.IntRange(min=1), help="The revision of their DAG.")
@click.option("--error", help="A part of what went wrong.")
@click.option("--min-duration", metavar="DURATION", help="They took at least so long, for instance 90s or 5m.")
@click.option("--max-duration", metavar="DURATION", help="They took at most so long.")
@click.option(
    "--sub-runs", type=click.Choice(["exclude", "include", "only"]), default="exclude", help="Runs that others called."
)
@click.option("--days", type=click.IntRange(1, 36_500), help="Those of so many days; by default of all time.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API says of them, as JSON.")
@settings_options("database_url")
@friendly_errors
def runs(*, name: str, limit: int, as_json: bool, **wanted: Any) -> None:
    """List the newest runs, of the DAG NAME or of all; through the server if one is running."""
    settings = current_settings()
    configure(settings.log_format, "warning")
    found = asyncio.run(_find(settings, runs_path(name) if name else "/dag-runs", _query(**wanted), limit))
    if as_json:
        click.echo(json.dumps({"dagRuns": found}, indent=2, ensure_ascii=False))
    else:
        print_table(("STARTED", "DAG", "RUN", "STATUS", "DURATION"), [_row(run) for run in found])


def _query(*, days: int | None, status: str | None, **wanted: Any) -> dict[str, Any]:
    names = {"min_duration": "minDuration", "max_duration": "maxDuration", "sub_runs": "subRuns"}
    query = {names.get(key, key): value for key, value in wanted.items() if value}
    query["fromDate"] = 0 if days is None else int(time.time()) - days * _DAY_SECONDS
    return query if status is None else query | {"status": int(_LABELS[status])}


async def _find(settings: Settings, path: str, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    async with open_api(settings, "runs", Mode.READ) as api:
        return await _gather(api.client, path, query, limit)


async def _gather(client: httpx.AsyncClient, path: str, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Read page by page; one may be empty and yet have others behind it."""
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        page = body_of(await client.get(path, params=query | {"limit": min(limit - len(found), _MOST_PER_PAGE)}))
        found += page["dagRuns"]
        if "nextCursor" not in page:
            break
        query = query | {"cursor": page["nextCursor"]}
    return found


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    return run["startedAt"] or "-", run["name"], run["dagRunId"], run["statusLabel"].replace("_", " "), duration(run)


def duration(run: dict[str, Any]) -> str:
    """Say how long a run or a step took; a dash while it is not over."""
    if {run["startedAt"], run["finishedAt"]} & {"", "-"}:
        return "-"
    return str(datetime.fromisoformat(run["finishedAt"]) - datetime.fromisoformat(run["startedAt"]))
