"""``dagbook ps`` and ``history``: what runs and waits now, and how a DAG did."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import click

from dagbook.api.schemas.dags import DAGHistory, DAGStatistics
from dagbook.api.schemas.runs import DAGRunAnswer, DAGRunDetails, DAGRunSummary
from dagbook.cli.api import Api, decode, run_path, runs_path, with_api
from dagbook.cli.commands import GlobalOptions
from dagbook.cli.complete import complete_what
from dagbook.cli.output import echo, format_duration, print_json, print_table, wants_json
from dagbook.cli.runs.lookup import (
    NEVER,
    duration,
    error_of,
    find_name,
    find_runs,
    read_name,
    seconds_of,
    status_of,
)
from dagbook.cli.runs.why import describe_hold, read_hold
from dagbook.engine.status import NodeStatus, RunStatus

_MOST_QUEUED = 1000
_BAR = 20  # characters of the longest run
_MARKS = {
    NodeStatus.SUCCEEDED: "✓",
    NodeStatus.PARTIALLY_SUCCEEDED: "~",
    NodeStatus.FAILED: "✗",
    NodeStatus.ABORTED: "■",
    NodeStatus.SKIPPED: "-",
    NodeStatus.RUNNING: "▶",
}


@click.command(cls=GlobalOptions, example="dagbook ps")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Runs of each kind at most.")
@with_api()
async def ps(api: Api, *, limit: int) -> None:
    """Print the runs that are running, with their steps, and those that wait in queues, with their reasons."""
    found: list[DAGRunSummary] = []
    for kind in (RunStatus.RUNNING, RunStatus.NOT_STARTED):
        found += await find_runs(api, "/dag-runs", {"fromDate": 0, "status": int(kind)}, limit)
    # The list has the newest first: the heads of queues are at its end.
    queued = await find_runs(api, "/dag-runs", {"fromDate": 0, "status": int(RunStatus.QUEUED)}, _MOST_QUEUED)
    queued.sort(key=lambda run: (wait.queue, wait.position) if (wait := run.waiting_for) else ("", 0))
    found += queued[:limit]
    answers = await asyncio.gather(*(api.send("GET", run_path(run.name, run.dag_run_id)) for run in found))
    # One that was deleted meanwhile is left out.
    runs = [decode(answer, DAGRunAnswer).dag_run_details for answer in answers if answer.is_success]
    if (hold := await read_hold(api)) is not None:
        echo(describe_hold(hold), fg="red", err=True)
    rows, none = [_active_row(run) for run in runs], "no run is running or queued"
    print_table(("DAG", "RUN", "STATUS", "FOR", "STEPS, OR WAITS FOR"), rows, {"dagRuns": runs}, none)


def _active_row(run: DAGRunDetails) -> tuple[str, ...]:
    since = run.started_at if run.started_at not in NEVER else run.queued_at
    age = format_duration((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds() if since else None)
    running = [node.step.name for node in run.nodes if node.status is NodeStatus.RUNNING and not node.waiting]
    what = "; ".join(part for part in (", ".join(running), run.reason) if part) or "-"
    if run.waiting_for:
        what = run.waiting_for.message
    return run.name, run.dag_run_id, status_of(run), age, what


@click.command(cls=GlobalOptions, example="dagbook history etl --limit 10")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of runs at most.")
@with_api()
async def history(api: Api, *, what: str, limit: int) -> None:
    """Print how the newest runs of a DAG ended, how long they took, and the status of each step in them.

    The summary is of its last finished runs. `dagbook runs` has filters.
    """
    name = read_name(what)
    runs = await find_runs(api, runs_path(await find_name(api, name)), {"fromDate": 0}, limit)
    # What only stored DAGs have.
    statistics = await api.find(f"/dags/{name}/statistics", DAGStatistics)
    grid = await api.find(f"/dags/{name}/dag-runs", DAGHistory)
    if wants_json():
        print_json({"statistics": statistics, "dagRuns": runs, "gridData": grid.grid_data if grid else []})
        return
    if not runs:
        raise click.ClickException(f"DAG {name!r} has no run; `dagbook run {name}` starts one")
    if statistics is not None and statistics.runs:
        echo(_summary(statistics))
    longest = max(seconds_of(run) or 0 for run in runs) or 1
    rows = []
    for run in runs:
        remarks = f"{'▇' * round(_BAR * (seconds_of(run) or 0) / longest)} {error_of(run)}".strip()
        rows.append((run.started_at or "-", run.dag_run_id, status_of(run), duration(run), remarks))
    print_table(("STARTED", "RUN", "STATUS", "DURATION", ""), rows)
    if grid is not None and grid.grid_data:
        echo()
        # The steps in the order of the newest run that has them; the API sorts them by name.
        names = dict.fromkeys(node.step.name for one in grid.dag_runs for node in one.nodes)
        marks = {row.name: "".join(_MARKS.get(status, "·") for status in row.history) for row in grid.grid_data}
        steps = [(name, marks.pop(name)) for name in names if name in marks]
        print_table(("STEP", "NEWEST TO OLDEST RUN"), [*steps, *marks.items()])


def _summary(found: DAGStatistics) -> str:
    counts = {
        "succeeded": found.succeeded,
        "partially succeeded": found.partially_succeeded,
        "failed": found.failed,
        "aborted": found.aborted,
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    median = found.p50_seconds
    usual = f"; half of them took at most {format_duration(median)}" if isinstance(median, float) else ""
    noun = "run" if found.runs == 1 else "runs"
    return f"{found.runs} finished {noun}: {', '.join(parts)}{usual}"
