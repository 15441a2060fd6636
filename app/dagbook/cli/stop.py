"""``dagbook stop``: stop requests for one run, or for all runs of a DAG."""

from __future__ import annotations

import click
import httpx
import uvloop

from dagbook.cli.client import Api, body_of, open_api, run_path, runs_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options
from dagbook.cli.progress import wait_finished
from dagbook.cli.target import find_name, read_name
from dagbook.engine.status import RunStatus
from dagbook.errors import NotRunningError
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]")
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@friendly_errors
def stop(*, what: str, run_id: str, given: str) -> None:
    """Stop run RUN_ID of a DAG; without RUN_ID, all its running runs.

    Returns at once, and the run stops a little later. A run that is already finished is not an error. When no server is
    running, the command stops the runs itself and waits until they are finished.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    uvloop.run(_stop(settings, read_name(what), run_id or given))


async def _stop(settings: Settings, name: str, run_id: str) -> None:
    async with open_api(settings, "stop") as api:
        name = await find_name(api, name)
        requested = [run_id] if run_id else await find_running(api, name)
        if not requested:
            click.echo(f"DAG {name} has no running run")
        stopping = [one for one in requested if await _stop_one(api, name, one)]
        for one in stopping if not api.transport.is_server else ():
            status = await wait_finished(api.client, run_path(name, one))
            click.echo(f"run {one} of DAG {name} is finished: {status.label.replace('_', ' ')}")


async def _stop_one(api: Api, name: str, run_id: str) -> bool:
    """Request the stop of a run and print what happens; returns whether it is going to stop."""
    if not await ask_to_stop(api, name, run_id):
        status = RunStatus(body_of(await api.client.get(run_path(name, run_id)))["dagRunDetails"]["status"])
        if not status.is_final:
            raise click.ClickException(
                f"run {run_id} of DAG {name} is {status.label}, not running; 'dagbook dequeue' dequeues it"
            )
        click.echo(f"run {run_id} of DAG {name} is already finished: {status.label.replace('_', ' ')}")
        return False
    click.echo(f"run {run_id} of DAG {name} was asked to stop")
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
