"""``dagbook retry``: a finished run retried, watched in the terminal."""

from __future__ import annotations

from typing import Any

import click
import uvloop

from dagbook.cli.client import Api, body_of, open_api, run_path
from dagbook.cli.failures import friendly_errors
from dagbook.cli.foreign import WORKER_ID, ignored_options
from dagbook.cli.options import GlobalOptions, complete_files, current_settings, settings_options
from dagbook.cli.progress import watch
from dagbook.cli.server_transport import ServerLost
from dagbook.cli.target import find_name, read_name
from dagbook.engine.status import NodeStatus
from dagbook.settings import Settings
from dagbook.telemetry.logging import configure

_KEPT = frozenset({NodeStatus.SUCCEEDED, NodeStatus.PARTIALLY_SUCCEEDED, NodeStatus.SKIPPED})


@click.command(cls=GlobalOptions)
@click.argument("what", metavar="FILE|NAME", shell_complete=complete_files)
@click.argument("run_id", required=False, default="", metavar="RUN_ID")
@click.option("-r", "--run-id", "given", default="", help="The same as RUN_ID.")
@click.option("--step", default="", metavar="STEP", help="Run only this step, not those that depend on it.")
@settings_options("database_url", "work_dir", "default_shell", "spool_dir", "base_config")
@ignored_options(*WORKER_ID)
@friendly_errors
def retry(*, what: str, run_id: str, given: str, step: str) -> int:
    """Retry the failed steps of run RUN_ID of a DAG, and all steps that depend on them.

    Exit status 0 when the run succeeds or is stopped, 1 otherwise.
    """
    if not (run_id or given):
        raise click.UsageError("Missing argument 'RUN_ID'.")
    settings = current_settings()
    configure(settings.log_format, "warning")
    return uvloop.run(_retry(settings, read_name(what), run_id or given, step))


async def _retry(settings: Settings, name: str, run_id: str, step: str) -> int:
    async with open_api(settings, "retry") as api:
        path = run_path(await find_name(api, name), run_id)
        before = body_of(await api.client.get(path))["dagRunDetails"]
        request = {"dagRunId": run_id, **({"stepName": step} if step else {})}
        await _start(api, path, request, before["attempt"])
        return await watch(api.client, path, hidden=_retained(before["nodes"], step))


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
