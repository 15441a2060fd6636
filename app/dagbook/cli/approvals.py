"""``dagbook approvals``: what runs wait for, and the decisions about it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from dagbook.cli.client import Api, body_of, run_path, use_api
from dagbook.cli.definitions import find_run_id
from dagbook.cli.failures import friendly_errors
from dagbook.cli.group import CommandGroup
from dagbook.cli.options import GlobalOptions, settings_options
from dagbook.cli.output import print_table, report

_EXAMPLE = "dagbook approvals approve deploy 0192-7f3c gate --input TICKET=OPS-7"


@click.group(cls=CommandGroup, example=_EXAMPLE)
def approvals() -> None:
    """List what runs wait for, and approve or reject it. Goes through the server if one is running."""


@approvals.command("list", cls=GlobalOptions, example="dagbook approvals list")
@settings_options("database_url")
@friendly_errors
def list_approvals() -> None:
    """Print the approvals that runs wait for, the oldest first, at most 1000."""

    async def work(api: Api) -> None:
        found = body_of(await api.client.get("/approvals"))
        rows = [
            (
                each.get("rootDAGRunName") or each["dagName"],
                each.get("rootDAGRunId") or each["dagRunId"],
                each["dagRunId"] if "rootDAGRunId" in each else "",
                each["stepName"],
                each["since"],
                " ".join(each["prompt"].split()),
                ", ".join(name + ("*" if name in each["required"] else "") for name in each["input"]),
            )
            for each in found["approvals"]
        ]
        print_table(
            ("DAG", "RUN", "SUB-RUN", "STEP", "SINCE", "PROMPT", "INPUT"), rows, found, "no run waits for an approval"
        )

    use_api("approvals", work)


@approvals.command(cls=GlobalOptions, example=_EXAMPLE)
@click.argument("dag", metavar="DAG")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("step", metavar="STEP")
@click.option(
    "--input", "given", metavar="NAME=VALUE", multiple=True, help="A value that the step asks for; repeatable."
)
@click.option("--sub-run", metavar="ID", help="The run of a called DAG, below RUN_ID, that has the step.")
@settings_options("database_url")
@friendly_errors
def approve(*, dag: str, run_id: str, step: str, given: tuple[str, ...], sub_run: str | None) -> None:
    """Approve what STEP of the run RUN_ID asks; the run goes on."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise click.UsageError(f"--input {wrong[0]}: write NAME=VALUE")
    body = {"inputs": {name: value for name, _, value in pairs}}

    async def work(api: Api) -> None:
        path = await _find_path(api, dag, run_id, step, sub_run)
        answer = body_of(await api.client.post(f"{path}/approve", json=body))
        left = "" if answer["resumed"] else "; the run waits for another approval"
        report(f"approved {step}{left}", answer)

    use_api("approvals", work)


@approvals.command(cls=GlobalOptions, example="dagbook approvals reject deploy 0192-7f3c gate --reason Friday")
@click.argument("dag", metavar="DAG")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("step", metavar="STEP")
@click.option("--reason", default="", metavar="TEXT", help="Why; it becomes a part of the error of the step.")
@click.option("--sub-run", metavar="ID", help="The run of a called DAG, below RUN_ID, that has the step.")
@settings_options("database_url")
@friendly_errors
def reject(*, dag: str, run_id: str, step: str, reason: str, sub_run: str | None) -> None:
    """Reject what STEP of the run RUN_ID asks: the step fails."""
    body: dict[str, Any] = {"reason": reason}

    async def work(api: Api) -> None:
        path = await _find_path(api, dag, run_id, step, sub_run)
        answer = body_of(await api.client.post(f"{path}/reject", json=body))
        report(f"rejected {step}", answer)

    use_api("approvals", work)


async def _find_path(api: Api, dag: str, run_id: str, step: str, sub_run: str | None) -> str:
    """Return the API path of a step; raises ClickException if there is no such run."""
    below = f"/sub-dag-runs/{quote(sub_run, safe='')}" if sub_run else ""
    return f"{run_path(dag, await find_run_id(api, dag, run_id))}{below}/steps/{quote(step, safe='')}"
