"""``dagbook ps``, ``history`` and ``why``: what runs and waits now, how a DAG did, and the reasons of a run."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import click
import httpx

from dagbook.cli.client import Api, body_of, path_of, run_path, runs_path, use_api
from dagbook.cli.complete import complete_runs, complete_what
from dagbook.cli.definitions import find_name, get_run, read_events, read_name
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, notice, settings_options, wants_json
from dagbook.cli.output import print_json, print_table
from dagbook.cli.reasons import Facts, describe_hold, explain_run, explain_schedule, failed_steps
from dagbook.cli.runs import duration, find_runs, first_line, label
from dagbook.cli.terminal import echo, echo_output
from dagbook.engine.status import NodeStatus, RunStatus

_TAIL_LINES = 10
_BAR = 20  # characters of the longest run
_MOST_STEPS = 5  # failed ones, whose output is shown
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
@settings_options("database_url")
@friendly_errors
def ps(*, limit: int) -> None:
    """Print the runs that are running, with their steps, and those that wait in queues, with their reasons."""

    async def work(api: Api) -> None:
        kinds = (RunStatus.RUNNING, RunStatus.NOT_STARTED, RunStatus.QUEUED)
        found: list[dict[str, Any]] = []
        for kind in kinds:
            found += await find_runs(api, "/dag-runs", {"fromDate": 0, "status": int(kind)}, limit)
        answers = await asyncio.gather(*(api.client.get(run_path(run["name"], run["dagRunId"])) for run in found))
        # One that was deleted meanwhile is left out.
        runs: list[dict[str, Any]] = [answer.json()["dagRunDetails"] for answer in answers if answer.is_success]
        if (hold := await _read_hold(api)) is not None:
            echo(describe_hold(hold), fg="red", err=True)
        rows, none = [_active_row(run) for run in runs], "no run is running or queued"
        print_table(("DAG", "RUN", "STATUS", "FOR", "STEPS, OR WAITS FOR"), rows, {"dagRuns": runs}, none)

    use_api("ps", work)


def _active_row(run: dict[str, Any]) -> tuple[str, ...]:
    since = run["startedAt"] if run["startedAt"] not in ("", "-") else run.get("queuedAt", "")
    passed = (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds() if since else 0
    time = str(timedelta(seconds=max(int(passed), 0))) if since else "-"
    running = [node["step"]["name"] for node in run["nodes"] if NodeStatus(node["status"]) is NodeStatus.RUNNING]
    what = "; ".join(part for part in (", ".join(running), run.get("reason", "")) if part) or "-"
    if "waitingFor" in run:
        what = run["waitingFor"]["message"]
    return run["name"], run["dagRunId"], label(run), time, what


@click.command(cls=GlobalOptions, example="dagbook history etl --limit 10")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Number of runs at most.")
@settings_options("database_url")
@friendly_errors
def history(*, what: str, limit: int) -> None:
    """Print how the newest runs of a DAG ended, how long they took, and the status of each step in them.

    The summary is of its last finished runs. `dagbook runs` has filters.
    """
    name = read_name(what)

    async def work(api: Api) -> None:
        dag_name = await find_name(api, name)
        runs = await find_runs(api, runs_path(dag_name), {"fromDate": 0}, limit)
        statistics = await _read_if_there(api, f"/dags/{name}/statistics")
        grid = await _read_if_there(api, f"/dags/{name}/dag-runs")
        steps = [] if grid is None else grid["gridData"]
        if wants_json():
            print_json({"statistics": statistics, "dagRuns": runs, "gridData": steps})
            return
        if not runs:
            raise click.ClickException(f"DAG {name!r} has no run; `dagbook run {name}` starts one")
        if statistics is not None and statistics["runs"]:
            echo(_summary(statistics))
        longest = max((_seconds(run) for run in runs), default=0) or 1
        bars = ["▇" * round(_BAR * _seconds(run) / longest) for run in runs]
        rows = [
            (run["startedAt"] or "-", run["dagRunId"], label(run), duration(run), f"{bar} {first_line(run)}".strip())
            for run, bar in zip(runs, bars, strict=True)
        ]
        print_table(("STARTED", "RUN", "STATUS", "DURATION", ""), rows)
        if grid is not None and steps:
            echo()
            print_table(("STEP", "NEWEST TO OLDEST RUN"), _step_rows(grid))

    use_api("history", work)


def _step_rows(grid: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the steps in the order of the newest run that has them; the API sorts them by name."""
    names = dict.fromkeys(node["step"]["name"] for run in grid["dagRuns"] for node in run["nodes"])
    history = {
        row["name"]: "".join(_MARKS.get(NodeStatus(status), "·") for status in row["history"])
        for row in grid["gridData"]
    }
    return [(name, history.pop(name)) for name in names if name in history] + list(history.items())


async def _read_if_there(api: Api, path: str) -> dict[str, Any] | None:
    """Read what only stored DAGs have."""
    answer = await api.client.get(path)
    found: dict[str, Any] | None = None if answer.status_code == httpx.codes.NOT_FOUND else body_of(answer)
    return found


def _summary(found: dict[str, Any]) -> str:
    counts = {
        "succeeded": found["succeeded"],
        "partially succeeded": found["partiallySucceeded"],
        "failed": found["failed"],
        "aborted": found["aborted"],
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    usual = f"; half of them took at most {found['p50Seconds']:g} s" if "p50Seconds" in found else ""
    noun = "run" if found["runs"] == 1 else "runs"
    return f"{found['runs']} finished {noun}: {', '.join(parts)}{usual}"


def _seconds(run: dict[str, Any]) -> float:
    if {run["startedAt"], run["finishedAt"]} & {"", "-"}:
        return 0
    return (datetime.fromisoformat(run["finishedAt"]) - datetime.fromisoformat(run["startedAt"])).total_seconds()


@click.command(cls=GlobalOptions, example="dagbook why etl")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@settings_options("database_url")
@friendly_errors
def why(*, what: str, run_id: str) -> None:
    """Explain why run RUN_ID of a DAG waits, is still running, has failed or was stopped; without an id, its newest.

    Without an id it also explains when its schedule starts it next, and why it did not.
    """
    name = read_name(what)

    async def work(api: Api) -> None:
        dag_name = await find_name(api, name)
        facts = await _read_facts(api, dag_name, run_id)
        schedule = None if run_id else await _read_schedule(api, name)
        if facts is None and schedule is None:
            raise click.ClickException(
                f"there is no DAG named {name!r}, and no run of it; `dagbook dag list` shows them"
            )
        hold = await _read_hold(api)
        reasons = [] if facts is None else explain_run(facts)
        planned = [] if schedule is None else explain_schedule(schedule, is_held=hold is not None)
        if wants_json():
            print_json(
                {"run": facts and facts.run, "reasons": reasons, "schedule": planned, "tails": facts and facts.tails}
            )
            return
        if facts is None:
            echo(f"the DAG {name} has no run")
        else:
            echo(f"{facts.run['name']}  {facts.run['dagRunId']}  {label(facts.run)}", bold=True)
        for sentence in (*reasons, *planned):
            echo(f"- {sentence}")
        is_unfinished = facts is not None and not RunStatus(facts.run["status"]).is_final
        is_due = schedule is not None and schedule["starts"] and not schedule["suspended"]
        if api.transport.is_alone and (is_unfinished or is_due):
            notice("no server is running, so nothing is started or continued; `dagbook serve` does that")
        if hold is not None:
            echo(describe_hold(hold), fg="red", err=True)
        for step, lines in facts.tails.items() if facts else ():
            echo(f"\nthe end of the output of {step}:", bold=True)
            for line in lines:
                echo_output(f"  {line}")

    use_api("why", work)


async def _read_hold(api: Api) -> dict[str, Any] | None:
    """Return the hold of the database, None when it is not held."""
    state = await _read_if_there(api, "/hold")  # which earlier versions do not have
    return state if state is not None and state["held"] else None


async def _read_facts(api: Api, dag_name: str, run_id: str) -> Facts | None:
    answer = await get_run(api, dag_name, run_id)
    if answer.status_code == httpx.codes.NOT_FOUND and not run_id:
        return None
    run: dict[str, Any] = body_of(answer)["dagRunDetails"]
    path = path_of(run)
    events = await read_events(api, run)
    tails = {}
    for node in failed_steps(run)[:_MOST_STEPS]:
        name = node["step"]["name"]
        if lines := await _tail(api, f"{path}/steps/{quote(name, safe='')}/log"):
            tails[name] = lines
    if RunStatus(run["status"]) is RunStatus.FAILED and not tails:
        tails["the run"] = await _tail(api, f"{path}/log")
    return Facts(run=run, events=events, tails=tails)


async def _tail(api: Api, path: str) -> list[str]:
    """Return the last lines on stderr, or on stdout if there are none."""
    for stream in ("stderr", "stdout"):
        answer = await api.client.get(path, params={"tail": _TAIL_LINES, "stream": stream})
        content = answer.json().get("content", "") if answer.is_success else ""
        if content.strip():
            return str(content).rstrip("\n").split("\n")
    return []


async def _read_schedule(api: Api, name: str) -> dict[str, Any] | None:
    """Return the next starts of a stored DAG, its problems and its last slots; None when there is no such DAG."""
    starts = await _read_if_there(api, f"/dags/{name}/schedule/next")
    if starts is None:
        return None
    slots = await _read_if_there(api, "/schedules/slots?" + str(httpx.QueryParams({"dag": name, "perPage": 5})))
    problems = body_of(await api.client.get(f"/dags/{name}"))["errors"]
    return {**starts, "slots": [] if slots is None else slots["slots"], "errors": problems}
