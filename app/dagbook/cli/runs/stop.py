"""``dagbook stop``, ``restart`` and ``retry``: runs that exist stopped, started again or retried."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click
import httpx

from dagbook.api.schemas.runs import DAGRuns, Node, RescheduledRun
from dagbook.cli.api import Api, check, run_path, runs_path, with_api
from dagbook.cli.commands import WORKER_ID, GlobalOptions
from dagbook.cli.complete import complete_runs, complete_what
from dagbook.cli.output import echo, report, words
from dagbook.cli.runs.lookup import find_name, find_run_id, read_details, read_name
from dagbook.cli.runs.progress import wait_finished, watch
from dagbook.cli.runs.start import RUN_SETTINGS
from dagbook.cli.transport import Mode, ServerLost
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import NotRunningError

_KEPT = frozenset({NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED, NodeStatus.SKIPPED})
_what = click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
_run_id = click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
_given = click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")


@click.command(cls=GlobalOptions, example="dagbook stop etl 20300131-1")
@_what
@_run_id
@_given
@with_api(*RUN_SETTINGS)
async def stop(api: Api, *, what: str, run_id: str, given: str) -> None:
    """Stop run RUN_ID of a DAG; without RUN_ID, all its running runs.

    Returns at once, and the run stops a little later. A run that is already finished is not an error. A run that no
    process drives is ended at once: what is left of its steps is killed, and nothing of it is executed any more, its
    handlers included.
    """
    name = await find_name(api, read_name(what))
    run_id = run_id or given
    requested = [await find_run_id(api, name, run_id)] if run_id else await _find_running(api, name)
    if not requested:
        report(f"DAG {name} has no running run", {"stopped": []})
    stopping = [one for one in requested if await _stop_one(api, name, one)]
    for one in stopping if not api.transport.is_server else ():
        status = await wait_finished(api, run_path(name, one))
        _report(name, one, status, f"is finished: {words(status.label)}")


def _report(name: str, run_id: str, status: RunStatus, text: str) -> None:
    """Print the state of a run after a request to stop it."""
    found = {"name": name, "dagRunId": run_id, "status": int(status), "statusLabel": status.label}
    report(f"run {run_id} of DAG {name} {text}", found)


async def _stop_one(api: Api, name: str, run_id: str) -> bool:
    """Request the stop of a run and print what happens; returns whether it is going to stop."""
    if await _ask_to_stop(api, name, run_id):
        _report(name, run_id, RunStatus.RUNNING, "was asked to stop")
        return True
    status = (await read_details(api, run_path(name, run_id))).status
    if not status.is_final:
        raise click.ClickException(
            f"run {run_id} of DAG {name} is {status.label}, not running; 'dagbook dequeue' dequeues it"
        )
    _report(name, run_id, status, f"is already finished: {words(status.label)}")
    return False


async def _ask_to_stop(api: Api, name: str, run_id: str) -> bool:
    """Request the stop of a run; returns whether it is running. Raises ClickException when there is no such run."""
    answer = await api.send("POST", f"{run_path(name, run_id)}/stop")
    if answer.status_code == httpx.codes.BAD_REQUEST and answer.json()["code"] == NotRunningError.code:
        return False
    check(answer)
    return True


async def _find_running(api: Api, name: str) -> list[str]:
    """Return the ids of a DAG's running runs, newest first; raises ClickException for an unknown DAG."""
    path = runs_path(name)
    found = await api.get(path, DAGRuns, {"fromDate": 0, "status": int(RunStatus.RUNNING)})
    if found.dag_runs:
        return [run.dag_run_id for run in found.dag_runs]
    others = await api.get(path, DAGRuns, {"fromDate": 0})
    if not others.dag_runs and (await api.send("GET", f"/dags/{name}")).status_code != httpx.codes.OK:
        raise click.ClickException(f"there is no DAG named {name!r}, and no run of it")
    return []


@click.command(cls=GlobalOptions, example="dagbook retry etl 20300131-1 --step load")
@_what
@_run_id
@_given
@click.option("--step", default="", metavar="STEP", help="Run only this step, not those that depend on it.")
@with_api(*RUN_SETTINGS, mode=Mode.RUN, ignored=WORKER_ID)
async def retry(api: Api, *, what: str, run_id: str, given: str, step: str) -> int:
    """Retry the failed steps of run RUN_ID of a DAG, and all steps that depend on them.

    Without RUN_ID, the newest failed run of the DAG is retried. Exit status 0 when the run succeeds or is stopped, 1
    otherwise.
    """
    name = await find_name(api, read_name(what))
    run_id = run_id or given
    if run_id:
        run_id = await find_run_id(api, name, run_id)
    else:
        query = {"fromDate": 0, "status": int(RunStatus.FAILED), "limit": 1}
        failed = (await api.get(runs_path(name), DAGRuns, query)).dag_runs
        if not failed:
            raise click.ClickException(f"DAG {name!r} has no failed run; give the id of the run to retry")
        run_id = failed[0].dag_run_id
    path = run_path(name, run_id)
    before = await read_details(api, path)
    request = {"dagRunId": run_id, **({"stepName": step} if step else {})}
    await _start(api, path, request, before.attempt or 1)
    return await watch(api, path, hidden=_retained(before.nodes, step))


async def _start(api: Api, path: str, request: dict[str, str], last_attempt: int) -> None:
    """Start the next attempt; when the database's owner exits first, its successor knows whether it was started."""
    while True:
        try:
            await api.act("POST", f"{path}/retry", request)
        except ServerLost:
            if (await read_details(api, path)).attempt == last_attempt:
                continue
        return


def _retained(nodes: Sequence[Node], only: str) -> set[str]:
    """Return the names of the steps that are not run again, so that they are not printed again."""
    names = {node.step.name for node in nodes}
    if only:
        return names - {only}
    again = {node.step.name for node in nodes if node.status not in _KEPT}
    while below := {node.step.name for node in nodes if again.intersection(node.step.depends or ())} - again:
        again |= below
    return names - again


@click.command(cls=GlobalOptions, example="dagbook restart etl")
@_what
@_run_id
@_given
@with_api(*RUN_SETTINGS, mode=Mode.RUN)
async def restart(api: Api, *, what: str, run_id: str, given: str) -> int:
    """Stop run RUN_ID of a DAG, or its newest running run, and start a new one with its definition and parameters.

    The new run starts when the old one is finished and restartWaitSec has passed, regardless of the DAG's limits.
    Progress and exit status are those of `run`. Exit status 1 when no run is running.
    """
    name = await find_name(api, read_name(what))
    run_id = run_id or given
    if run_id:
        run_id = await find_run_id(api, name, run_id)
    else:
        running = await _find_running(api, name)
        if not running:
            raise click.ClickException(f"DAG {name} has no running run")
        run_id = running[0]
    path = run_path(name, run_id)
    if pause := await _stop_and_wait(api, name, run_id):
        echo(f"run {run_id} of DAG {name} is finished; the new one starts in {pause} s", err=True)
        await asyncio.sleep(pause)
    new = await api.post(f"{path}/reschedule", RescheduledRun, {"restart": True})
    return await watch(api, run_path(name, new.dag_run_id))


async def _stop_and_wait(api: Api, name: str, run_id: str) -> int:
    """Stop a run and wait until it is finished; returns its DAG's pause before the next one, in seconds."""
    path = run_path(name, run_id)
    run = await read_details(api, path)
    if run.status is not RunStatus.RUNNING:
        label = words(run.status_label)
        raise click.ClickException(f"run {run_id} of DAG {name} is not running, it is {label}; start another instead")
    if await _ask_to_stop(api, name, run_id):
        echo(f"run {run_id} of DAG {name} was asked to stop", err=True)
    await wait_finished(api, path)
    return run.restart_wait_sec or 0
