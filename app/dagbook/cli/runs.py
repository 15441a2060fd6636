"""``dagbook runs`` and ``dagbook status``: runs, listed and filtered, and the steps of one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import click

from dagbook.cli.client import Api, body_of, runs_path, use_api
from dagbook.cli.complete import complete_dags, complete_runs, complete_what
from dagbook.cli.definitions import find_run, read_events, read_name
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, settings_options, wants_json
from dagbook.cli.output import print_json, print_table
from dagbook.cli.reasons import nodes_of, of_attempt, retry_waits
from dagbook.cli.terminal import echo
from dagbook.engine.status import NodeStatus, RunStatus

_DAY_SECONDS = 86_400
_MOST_PER_PAGE = 1000
_LABELS = {status.label.replace("_", "-"): status for status in RunStatus}


@click.command(cls=GlobalOptions, example="dagbook runs etl --status failed --days 7")
@click.argument("name", required=False, default="", metavar="[NAME]", shell_complete=complete_dags)
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
@settings_options("database_url")
@friendly_errors
def runs(*, name: str, limit: int, days: int | None, status: str | None, **filters: Any) -> None:
    """List the newest runs of the DAG NAME, or of all DAGs, through the server if one is running."""
    names = {"min_duration": "minDuration", "max_duration": "maxDuration", "sub_runs": "subRuns"}
    query = {names.get(key, key): value for key, value in filters.items() if value}
    query["fromDate"] = 0 if days is None else int(time.time()) - days * _DAY_SECONDS
    if status is not None:
        query["status"] = int(_LABELS[status])
    path = runs_path(name) if name else "/dag-runs"
    found = use_api("runs", lambda api: find_runs(api, path, query, limit))
    rows = [
        (run["startedAt"] or "-", run["name"], run["dagRunId"], label(run), duration(run), first_line(run))
        for run in found
    ]
    print_table(("STARTED", "DAG", "RUN", "STATUS", "DURATION", ""), rows, {"dagRuns": found}, "no run was found")


async def find_runs(api: Api, path: str, query: dict[str, Any], limit: int) -> list[dict[str, Any]]:
    """Read runs page by page; an empty page may be followed by others."""
    found: list[dict[str, Any]] = []
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


@click.command(cls=GlobalOptions, example="dagbook status etl")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url")
@friendly_errors
def status(*, what: str, run_id: str, given: str) -> None:
    """Show the status of run RUN_ID of a DAG and its steps; without RUN_ID, of its newest run.

    Exit status 0 also for a failed run, 1 when there is no such run.
    """
    name = read_name(what)

    async def work(api: Api) -> tuple[dict[str, Any], dict[str, str]]:
        run = await find_run(api, name, run_id or given)
        is_waiting = any(NodeStatus(node["status"]) is NodeStatus.RUNNING for node in nodes_of(run))
        events = await read_events(api, run) if is_waiting and not wants_json() else []
        return run, retry_waits(run, of_attempt(run, events))

    run, waits = use_api("status", work)
    if wants_json():
        print_json({"dagRunDetails": run})
        return
    echo(f"{run['name']}  {run['dagRunId']}", bold=True)
    for fact, value in _facts(run):
        echo(f"  {fact:<10}{value}")
    echo()
    rows: list[tuple[str, ...]] = []
    for node in nodes_of(run):
        name, error = node["step"]["name"], first_line(node)
        if name in waits:
            what = f"retry {node['retryCount']}" if error else "its next repetition"
            error = f"waits for {what} until {waits[name]}" + (f": {error}" if error else "")
        rows.append((name, label(node), node["startedAt"] or "-", duration(node), error))
    print_table(("STEP", "STATUS", "STARTED", "DURATION", "ERROR"), rows)


def _facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    facts = {
        "status": label(run),
        "queued": run.get("queuedAt", ""),
        "started": run["startedAt"],
        "finished": run["finishedAt"],
        "duration": duration(run),
        "params": run.get("params", ""),
        "reason": run.get("reason", ""),
        "error": run.get("error", ""),
    }
    return [(fact, value) for fact, value in facts.items() if value not in ("", "-")]


def first_line(item: dict[str, Any]) -> str:
    """Return the first line of the error of a run or step; empty without one."""
    return str(item.get("error", "")).partition("\n")[0]


def label(item: dict[str, Any]) -> str:
    """Return the status of a run or step in words."""
    return str(item["statusLabel"]).replace("_", " ")
