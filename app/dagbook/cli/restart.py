"""``dagbook restart``: a run stopped and a new one started in its place, watched in the terminal."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import uvloop

from dagbook.cli.client import Api, body_of, open_api, run_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options
from dagbook.cli.progress import wait_finished, watch
from dagbook.cli.stop import ask_to_stop, find_running
from dagbook.cli.target import find_name, read_name
from dagbook.engine.status import RunStatus
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("run_id", required=False, default="", metavar="[RUN_ID]")
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
        if not run_id:
            running = await find_running(api, name)
            if not running:
                raise click.ClickException(f"DAG {name} has no running run")
            run_id = running[0]
        path = run_path(name, run_id)
        pause = await _stop(api, name, run_id, path)
        if pause:
            click.echo(f"run {run_id} of DAG {name} is finished; the new one starts in {pause} s", err=True)
            await asyncio.sleep(pause)
        new = body_of(await api.client.post(f"{path}/reschedule", json={"restart": True}))["dagRunId"]
        return await watch(api.client, run_path(name, new))


async def _stop(api: Api, name: str, run_id: str, path: str) -> int:
    """Stop a run and wait until it is finished; returns its DAG's pause before the next one, in seconds."""
    run: dict[str, Any] = body_of(await api.client.get(path))["dagRunDetails"]
    if RunStatus(run["status"]) is not RunStatus.RUNNING:
        label = run["statusLabel"].replace("_", " ")
        raise click.ClickException(f"run {run_id} of DAG {name} is not running, it is {label}; start another instead")
    if await ask_to_stop(api, name, run_id):
        click.echo(f"run {run_id} of DAG {name} was asked to stop", err=True)
    await wait_finished(api.client, path)
    return int(run.get("restartWaitSec", 0))
