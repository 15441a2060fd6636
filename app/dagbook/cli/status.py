"""``dagbook status``: the status of a run and its steps."""

from __future__ import annotations

import asyncio
from typing import Any

import click
import httpx

from dagbook.cli.client import body_of, open_api, run_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options
from dagbook.cli.people import print_table
from dagbook.cli.progress import HANDLERS
from dagbook.cli.runs import duration
from dagbook.cli.server_transport import Mode
from dagbook.cli.target import find_name, read_name
from dagbook.identifiers import LATEST
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure


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
    click.secho(f"{run['name']}  {run['dagRunId']}", bold=True)
    for label, value in _facts(run):
        click.echo(f"  {label:<10}{value}")
    click.echo()
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
