"""``dagbook stop``, ``restart`` and ``retry``: runs that exist stopped, started again or retried."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import httpx
import uvloop

from dagbook.cli.client import Api, Mode, ServerLost, body_of, open_api, run_path, runs_path
from dagbook.cli.complete import complete_runs, complete_what
from dagbook.cli.definitions import find_name, find_run_id, read_name
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import (
    WORKER_ID,
    GlobalOptions,
    current_settings,
    ignored_options,
    settings_options,
)
from dagbook.cli.output import report
from dagbook.cli.progress import wait_finished, watch
from dagbook.cli.terminal import echo
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.errors import NotRunningError
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure


@click.command(cls=GlobalOptions, example="dagbook stop etl 20300131-1")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@friendly_errors
def stop(*, what: str, run_id: str, given: str) -> None:
    """Stop run RUN_ID of a DAG; without RUN_ID, all its running runs.

    Returns at once, and the run stops a little later. A run that is already finished is not an error. A run that no
    process drives is ended at once: what is left of its steps is killed, and nothing of it is executed any more, its
    handlers included.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    uvloop.run(_stop(settings, read_name(what), run_id or given))


async def _stop(settings: Settings, name: str, run_id: str) -> None:
    async with open_api(settings, "stop", Mode.READ) as api:
        name = await find_name(api, name)
        requested = [await find_run_id(api, name, run_id)] if run_id else await find_running(api, name)
        if not requested:
            report(f"DAG {name} has no running run", {"stopped": []})
        stopping = [one for one in requested if await _stop_one(api, name, one)]
        for one in stopping if not api.transport.is_server else ():
            status = await wait_finished(api, run_path(name, one))
            _report(name, one, status, f"is finished: {status.label.replace('_', ' ')}")


def _report(name: str, run_id: str, status: RunStatus, text: str) -> None:
    """Print the state of a run after a request to stop it."""
    found = {"name": name, "dagRunId": run_id, "status": int(status), "statusLabel": status.label}
    report(f"run {run_id} of DAG {name} {text}", found)


async def _stop_one(api: Api, name: str, run_id: str) -> bool:
    """Request the stop of a run and print what happens; returns whether it is going to stop."""
    if not await ask_to_stop(api, name, run_id):
        status = RunStatus(body_of(await api.client.get(run_path(name, run_id)))["dagRunDetails"]["status"])
        if not status.is_final:
            raise click.ClickException(
                f"run {run_id} of DAG {name} is {status.label}, not running; 'dagbook dequeue' dequeues it"
            )
        _report(name, run_id, status, f"is already finished: {status.label.replace('_', ' ')}")
        return False
    _report(name, run_id, RunStatus.RUNNING, "was asked to stop")
    return True


async def ask_to_stop(api: Api, name: str, run_id: str) -> bool:
    """Request the stop of a run; returns whether it is running. Raises ClickException when there is no such run."""
    answer = await api.client.post(f"{run_path(name, run_id)}/stop")
    if answer.status_code == httpx.codes.BAD_REQUEST and answer.json()["code"] == NotRunningError.code:
        return False
    body_of(answer)
    return True


async def find_running(api: Api, name: str) -> list[str]:
    """Return the ids of a DAG's running runs, newest first; raises ClickException for an unknown DAG."""
    path = runs_path(name)
    running = {"fromDate": 0, "status": int(RunStatus.RUNNING)}
    runs = body_of(await api.client.get(path, params=running))["dagRuns"]
    if runs:
        return [run["dagRunId"] for run in runs]
    others = body_of(await api.client.get(path, params={"fromDate": 0}))["dagRuns"]
    if not others and (await api.client.get(f"/dags/{name}")).status_code != httpx.codes.OK:
        raise click.ClickException(f"there is no DAG named {name!r}, and no run of it")
    return []


_KEPT = frozenset({NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED, NodeStatus.SKIPPED})


@click.command(cls=GlobalOptions, example="dagbook retry etl 20300131-1 --step load")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@click.option("--step", default="", metavar="STEP", help="Run only this step, not those that depend on it.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@ignored_options(*WORKER_ID)
@friendly_errors
def retry(*, what: str, run_id: str, given: str, step: str) -> int:
    """Retry the failed steps of run RUN_ID of a DAG, and all steps that depend on them.

    Without RUN_ID, the newest failed run of the DAG is retried. Exit status 0 when the run succeeds or is stopped, 1
    otherwise.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    return uvloop.run(_retry(settings, read_name(what), run_id or given, step))


async def _retry(settings: Settings, name: str, run_id: str, step: str) -> int:
    async with open_api(settings, "retry") as api:
        name = await find_name(api, name)
        run_id = await find_run_id(api, name, run_id) if run_id else await _find_failed(api, name)
        path = run_path(name, run_id)
        before = body_of(await api.client.get(path))["dagRunDetails"]
        request = {"dagRunId": run_id, **({"stepName": step} if step else {})}
        await _start(api, path, request, before["attempt"])
        return await watch(api, path, hidden=_retained(before["nodes"], step))


async def _find_failed(api: Api, name: str) -> str:
    """Return the id of a DAG's newest failed run; raises ClickException if there is none."""
    failed = {"fromDate": 0, "status": int(RunStatus.FAILED), "limit": 1}
    found = body_of(await api.client.get(runs_path(name), params=failed))["dagRuns"]
    if not found:
        raise click.ClickException(f"DAG {name!r} has no failed run; give the id of the run to retry")
    return str(found[0]["dagRunId"])


async def _start(api: Api, path: str, request: dict[str, Any], last_attempt: int) -> None:
    """Start the next attempt; when the database's owner exits first, its successor knows whether it was started."""
    while True:
        try:
            body_of(await api.client.post(f"{path}/retry", json=request))
        except ServerLost:
            if body_of(await api.client.get(path))["dagRunDetails"]["attempt"] == last_attempt:
                continue
        return


def _retained(nodes: list[dict[str, Any]], only: str) -> set[str]:
    """Return the names of the steps that are not run again, so that they are not printed again."""
    names = {node["step"]["name"] for node in nodes}
    if only:
        return names - {only}
    again = {node["step"]["name"] for node in nodes if node["status"] not in _KEPT}
    while (
        below := {node["step"]["name"] for node in nodes if again.intersection(node["step"].get("depends", ()))} - again
    ):
        again |= below
    return names - again


@click.command(cls=GlobalOptions, example="dagbook restart etl")
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_what)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]", shell_complete=complete_runs)
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@friendly_errors
def restart(*, what: str, run_id: str, given: str) -> int:
    """Stop run RUN_ID of a DAG, or its newest running run, and start a new one with its definition and parameters.

    The new run starts when the old one is finished and restartWaitSec has passed, regardless of the DAG's limits.
    Progress and exit status are those of `run`. Exit status 1 when no run is running.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    return uvloop.run(_restart(settings, read_name(what), run_id or given))


async def _restart(settings: Settings, name: str, run_id: str) -> int:
    async with open_api(settings, "restart") as api:
        name = await find_name(api, name)
        if run_id:
            run_id = await find_run_id(api, name, run_id)
        else:
            running = await find_running(api, name)
            if not running:
                raise click.ClickException(f"DAG {name} has no running run")
            run_id = running[0]
        path = run_path(name, run_id)
        pause = await _stop_and_wait(api, name, run_id, path)
        if pause:
            echo(f"run {run_id} of DAG {name} is finished; the new one starts in {pause} s", err=True)
            await asyncio.sleep(pause)
        new = body_of(await api.client.post(f"{path}/reschedule", json={"restart": True}))["dagRunId"]
        return await watch(api, run_path(name, new))


async def _stop_and_wait(api: Api, name: str, run_id: str, path: str) -> int:
    """Stop a run and wait until it is finished; returns its DAG's pause before the next one, in seconds."""
    run: dict[str, Any] = body_of(await api.client.get(path))["dagRunDetails"]
    if RunStatus(run["status"]) is not RunStatus.RUNNING:
        label = run["statusLabel"].replace("_", " ")
        raise click.ClickException(f"run {run_id} of DAG {name} is not running, it is {label}; start another instead")
    if await ask_to_stop(api, name, run_id):
        echo(f"run {run_id} of DAG {name} was asked to stop", err=True)
    await wait_finished(api, path)
    return int(run.get("restartWaitSec", 0))
