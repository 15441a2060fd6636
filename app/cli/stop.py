"""``dagbook stop``: one run, or all runs of a DAG, asked to stop."""

from __future__ import annotations

import click
import httpx
import uvloop

from app.cli.client import Api, body_of, open_api, run_path, runs_path
from app.cli.failures import said_plainly
from app.cli.options import GlobalOptions, current_settings, settings_options
from app.cli.progress import until_over
from app.engine.status import RunStatus
from app.settings import Settings
from app.telemetry.logging import configure


@click.command(cls=GlobalOptions)
@click.argument("name", metavar="NAME")
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]")
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@said_plainly
def stop(*, name: str, run_id: str, given: str) -> None:
    """Ask run RUN_ID of the DAG NAME to stop; without RUN_ID, all its running runs.

    The request is answered at once and the run ends a little later. When no server works on the database, the
    command sees to the end of the runs itself.
    """
    settings = current_settings()
    configure(settings.log_format, "warning")
    uvloop.run(_stop(settings, name, run_id or given))


async def _stop(settings: Settings, name: str, run_id: str) -> None:
    async with open_api(settings, "stop") as api:
        asked = await _stop_one(api, name, run_id) if run_id else await _stop_all(api, name)
        for one in asked if api.inside else ():
            status = await until_over(api.client, run_path(name, one))
            click.echo(f"run {one} of DAG {name} is over: {status.label.replace('_', ' ')}")


async def _stop_one(api: Api, name: str, run_id: str) -> list[str]:
    body_of(await api.client.post(f"{run_path(name, run_id)}/stop"))
    click.echo(f"run {run_id} of DAG {name} was asked to stop")
    return [run_id]


async def _stop_all(api: Api, name: str) -> list[str]:
    asked = []
    for run_id in await _running(api, name):
        try:
            asked += await _stop_one(api, name, run_id)
        except click.ClickException as error:
            click.echo(error.message, err=True)  # it ended in between, as it should
    if not asked:
        click.echo(f"DAG {name} has no running run")
    return asked


async def _running(api: Api, name: str) -> list[str]:
    path = runs_path(name)
    running = {"fromDate": 0, "status": int(RunStatus.RUNNING)}
    runs = body_of(await api.client.get(path, params=running))["dagRuns"]
    if not runs:
        await _require_known(api, name, path)
    return [run["dagRunId"] for run in runs]


async def _require_known(api: Api, name: str, path: str) -> None:
    if body_of(await api.client.get(path, params={"fromDate": 0}))["dagRuns"]:
        return
    if (await api.client.get(f"/dags/{name}")).status_code != httpx.codes.OK:
        raise click.ClickException(f"there is no DAG named {name!r}, and no run of it")
