"""``dagbook runs`` and ``dagbook status``: runs, listed and filtered, and the steps of one."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from typing import Any

import click
import httpx

from dagbook.cli.client import body_of, open_api, print_table, run_path, runs_path
from dagbook.cli.definitions import find_name, read_name
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options
from dagbook.cli.progress import HANDLERS
from dagbook.cli.server_transport import Mode
from dagbook.cli.terminal import echo
from dagbook.engine.status import RunStatus
from dagbook.identifiers import LATEST
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure

_DAY_SECONDS = 86_400
_MOST_PER_PAGE = 1000
_LABELS = {status.label.replace("_", "-"): status for status in RunStatus}


@click.command(cls=GlobalOptions)
@click.argument("name", required=False, default="", metavar="[NAME]")
@click.option("--status", type=click.Choice(sorted(_LABELS)), help="Only runs with this status.")
@click.option("--tag", multiple=True, help="Only runs with this tag; repeat it to require several.")
@click.option("--param", multiple=True, metavar="NAME=VALUE", help="Only runs with this parameter; may be repeated.")
@click.option("--trigger", help="Only runs started in this way: api, call, reschedule …")
@click.option("--actor", help="Only runs started by this user.")
@click.option("--revision", type=click.IntRange(min=1), help="Only runs of this revision of their DAG.")
@click.option("--error", help="Only runs whose errors contain this text.")
@click.option("--min-duration", metavar="DURATION", help="Only runs that took at least this long, such as 90s or 5m.")
@click.option("--max-duration", metavar="DURATION", help="Only runs that took at most this long.")
@click.option(
    "--sub-runs", type=click.Choice(["exclude", "include", "only"]), default="exclude", help="Runs started by steps."
)
@click.option("--days", type=click.IntRange(1, 36_500), help="Only runs of this many last days; by default all.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Number of runs at most.")
@click.option("--json", "as_json", is_flag=True, help="Print the API's response as JSON.")
@settings_options("database_url")
@friendly_errors
def runs(*, name: str, limit: int, as_json: bool, days: int | None, status: str | None, **filters: Any) -> None:
    """List the newest runs of the DAG NAME, or of all DAGs, through the server if one is running."""
    settings = current_settings()
    configure(settings.log_format, "warning")
    names = {"min_duration": "minDuration", "max_duration": "maxDuration", "sub_runs": "subRuns"}
    query = {names.get(key, key): value for key, value in filters.items() if value}
    query["fromDate"] = 0 if days is None else int(time.time()) - days * _DAY_SECONDS
    if status is not None:
        query["status"] = int(_LABELS[status])
    found = asyncio.run(_find(settings, runs_path(name) if name else "/dag-runs", query, limit))
    if as_json:
        echo(json.dumps({"dagRuns": found}, indent=2, ensure_ascii=False))
        return
    rows: list[tuple[str, ...]] = []
    for run in found:
        label = run["statusLabel"].replace("_", " ")
        rows.append((run["startedAt"] or "-", run["name"], run["dagRunId"], label, duration(run)))
    print_table(("STARTED", "DAG", "RUN", "STATUS", "DURATION"), rows)


async def _find(settings: Settings, path: str, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Read page by page; an empty page may be followed by others."""
    found: list[dict[str, Any]] = []
    async with open_api(settings, "runs", Mode.READ) as api:
        while len(found) < limit:
            size = min(limit - len(found), _MOST_PER_PAGE)
            page = body_of(await api.client.get(path, params=query | {"limit": size}))
            found += page["dagRuns"]
            if "nextCursor" not in page:
                break
            query = query | {"cursor": page["nextCursor"]}
    return found


def duration(run: dict[str, Any]) -> str:
    """Format how long a run or a step took, to the millisecond where the response has them; a dash while unfinished."""
    if {run["startedAt"], run["finishedAt"]} & {"", "-"}:
        return "-"
    if "startedAtMillis" in run and "finishedAtMillis" in run:
        milliseconds = run["finishedAtMillis"] - run["startedAtMillis"]
        seconds = timedelta(seconds=milliseconds // 1000)
        return f"{seconds}.{milliseconds % 1000:03}"
    return str(datetime.fromisoformat(run["finishedAt"]) - datetime.fromisoformat(run["startedAt"]))


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]")
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url")
@friendly_errors
def status(*, what: str, run_id: str, given: str) -> None:
    """Show the status of run RUN_ID of a DAG and its steps; without RUN_ID, of its newest run.

    Exit status 0 also for a failed run, 1 when there is no such run.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    run = asyncio.run(_read(settings, read_name(what), run_id or given))
    echo(f"{run['name']}  {run['dagRunId']}", bold=True)
    for label, value in _facts(run):
        echo(f"  {label:<10}{value}")
    echo()
    rows: list[tuple[str, ...]] = []
    for node in [*run["nodes"], *(run[name] for name in HANDLERS if name in run)]:
        error = node.get("error", "").partition("\n")[0]
        rows.append((node["step"]["name"], _label(node), node["startedAt"] or "-", duration(node), error))
    print_table(("STEP", "STATUS", "STARTED", "DURATION", "ERROR"), rows)


async def _read(settings: Settings, name: str, run_id: str) -> dict[str, Any]:
    async with open_api(settings, "status", Mode.READ) as api:
        name = await find_name(api, name)
        answer = await api.client.get(run_path(name, run_id or LATEST))
        if not run_id and answer.status_code == httpx.codes.NOT_FOUND:
            raise click.ClickException(f"DAG {name!r} has no run")
        run: dict[str, Any] = body_of(answer)["dagRunDetails"]
        return run


def _facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {
        "status": _label(run),
        "queued": run.get("queuedAt", ""),
        "started": run["startedAt"],
        "finished": run["finishedAt"],
        "duration": duration(run),
        "params": run.get("params", ""),
        "reason": run.get("reason", ""),
    }
    return [(label, value) for label, value in facts.items() if value not in ("", "-")]


def _label(item: dict[str, Any]) -> str:
    return str(item["statusLabel"]).replace("_", " ")
