"""``dagbook runs`` and ``status``: runs, listed and filtered, and the steps of one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import click
from click.decorators import FC
from msgspec import UnsetType

from dagbook.api.schemas.runs import DAGRunDetails
from dagbook.api.schemas.step_details import RunSummaries
from dagbook.cli.api import Api, path_of, runs_path, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_dags, complete_runs, complete_what
from dagbook.cli.output import echo, echo_output, print_json, print_table, wants_json
from dagbook.cli.runs.logs import Moment
from dagbook.cli.runs.lookup import (
    NEVER,
    duration,
    error_of,
    events_of_attempt,
    find_run,
    find_runs,
    nodes_of,
    read_events,
    read_name,
    retry_waits,
    status_of,
)
from dagbook.engine.status import NodeStatus, RunStatus

_DAY_SECONDS = 86_400
_LABELS: dict[str, dict[str, str | int]] = {
    status.label.replace("_", "-"): {"status": int(status)} for status in RunStatus
}
# The API has one number for both, of which each leaves out the other.
_LABELS["running"] |= {"waitingForApproval": "false"}
_LABELS["waiting"] = {"status": int(RunStatus.RUNNING), "waitingForApproval": "true"}


_FILTERS = (
    click.option(
        "--status", type=click.Choice(sorted(_LABELS)), help="Only runs with this status; waiting is for approval."
    ),
    click.option("--tag", multiple=True, help="Only runs with this tag; repeat it to require several."),
    click.option(
        "--param", multiple=True, metavar="NAME=VALUE", help="Only runs with this parameter; may be repeated."
    ),
    click.option("--trigger", help="Only runs started in this way: api, call, reschedule …"),
    click.option("--actor", help="Only runs started by this user."),
    click.option("--revision", type=click.IntRange(min=1), help="Only runs of this revision of their DAG."),
    click.option("--error", help="Only runs whose errors contain this text."),
    click.option(
        "--min-duration", metavar="DURATION", help="Only runs that took at least this long, such as 90s or 5m."
    ),
    click.option("--max-duration", metavar="DURATION", help="Only runs that took at most this long."),
    click.option("--days", type=click.IntRange(1, 36_500), help="Only runs of this many last days; by default all."),
    click.option(
        "--since", type=Moment(), metavar="TIME", help="Only runs since this time, such as 03:00, 3d or a date."
    ),
)


def with_filters(command: FC) -> FC:
    """Add the options of a command that say which runs it is about."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def read_filters(options: Mapping[str, object]) -> dict[str, str | int | Sequence[str]]:
    """Return the filters of the API that these options are."""
    names = {"min_duration": "minDuration", "max_duration": "maxDuration", "sub_runs": "subRuns"}
    found: dict[str, str | int | Sequence[str]] = {
        names.get(key, key): value
        for key, value in options.items()
        if value and key not in ("status", "days") and isinstance(value, str | int | tuple)
    }
    days, since, status = (options.get(name) for name in ("days", "since", "status"))
    if isinstance(days, int):
        found["fromDate"] = int(time.time()) - days * _DAY_SECONDS
    if isinstance(since, datetime):
        found["fromDate"] = max(int(since.timestamp()), 0)
    return found | (_LABELS[status] if isinstance(status, str) else {})


@click.command(cls=GlobalOptions, example="dagbook runs etl --status failed --days 7")
@click.argument("name", required=False, default="", metavar="[NAME]", shell_complete=complete_dags)
@with_filters
@click.option(
    "--sub-runs", type=click.Choice(["exclude", "include", "only"]), default="exclude", help="Runs started by steps."
)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Number of runs at most.")
@with_api()
async def runs(api: Api, /, *, name: str, limit: int, **filters: object) -> None:
    """List the newest runs of the DAG NAME, or of all DAGs, through the server if one is running.

    Failed runs that a batch has replaced are no failures any more, and listed without --status alone.
    """
    query = {"fromDate": 0, **read_filters(filters)}
    found = await find_runs(api, runs_path(name) if name else "/dag-runs", query, limit)
    rows = [
        (run.started_at or "-", run.name, run.dag_run_id, status_of(run), duration(run), error_of(run)) for run in found
    ]
    print_table(("STARTED", "DAG", "RUN", "STATUS", "DURATION", ""), rows, {"dagRuns": found}, "no run was found")


@click.command(cls=GlobalOptions, example="dagbook status etl")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@with_api()
async def status(api: Api, *, what: str, run_id: str, given: str) -> None:
    """Show the status of run RUN_ID of a DAG and its steps; without RUN_ID, of its newest run.

    Exit status 0 also for a failed run, 1 when there is no such run.
    """
    run = await find_run(api, read_name(what), run_id or given)
    if wants_json():
        print_json({"dagRunDetails": run})
        return
    nodes = nodes_of(run)
    is_waiting = any(node.status is NodeStatus.RUNNING for node in nodes)
    waits = retry_waits(run, events_of_attempt(run, await read_events(api, run) if is_waiting else []))
    echo(f"{run.name}  {run.dag_run_id}", bold=True)
    for fact, value in _facts(run).items():
        if value and value not in NEVER:
            echo(f"  {fact:<10}{value}")
    echo()
    rows: list[tuple[str, ...]] = []
    for node in nodes:
        name, error = node.step.name, error_of(node)
        if name in waits:
            reason = f"retry {node.retry_count}" if error else "its next repetition"
            error = f"waits for {reason} until {waits[name]}" + (f": {error}" if error else "")
        rows.append((name, status_of(node), node.started_at or "-", duration(node), error))
    print_table(("STEP", "STATUS", "STARTED", "DURATION", "ERROR"), rows)
    if any(node.has_summary for node in nodes):
        await _print_summaries(api, run)


async def _print_summaries(api: Api, run: DAGRunDetails) -> None:
    found = await api.get(f"{path_of(run)}/summary", RunSummaries)
    for summary in found.summaries:
        echo(f"\nsummary of {summary.step}:", bold=True)
        for line in summary.text.strip().splitlines():
            echo_output(f"  {line}")


def _facts(run: DAGRunDetails) -> dict[str, str | UnsetType]:
    return {
        "status": status_of(run),
        "queued": run.queued_at,
        "started": run.started_at,
        "finished": run.finished_at,
        "duration": duration(run),
        "params": run.params,
        "from": run.began_from and f"the outputs of run {run.began_from}",
        "reason": run.reason,
        "error": run.error,
    }
