"""``dagbook approvals``: what runs wait for, and the decisions about it."""

from __future__ import annotations

import click

from dagbook.api.schemas.runs import ApprovalItem, Approvals, Approved, Rejected
from dagbook.cli.api import Api, run_path, segment, with_api
from dagbook.cli.commands import CommandGroup
from dagbook.cli.output import print_table, report
from dagbook.cli.runs.lookup import find_run_id

_EXAMPLE = "dagbook approvals approve deploy 0192-7f3c gate --input TICKET=OPS-7"


@click.group(cls=CommandGroup, example=_EXAMPLE)
def approvals() -> None:
    """List what runs wait for, and approve or reject it. Goes through the server if one is running."""


@approvals.command("list", example="dagbook approvals list")
@with_api()
async def list_approvals(api: Api) -> None:
    """Print the approvals that runs wait for, the oldest first, at most 1000."""
    found = await api.get("/approvals", Approvals)
    head = ("DAG", "RUN", "SUB-RUN", "STEP", "SINCE", "PROMPT", "INPUT")
    print_table(head, [_row(each) for each in found.approvals], found, "no run waits for an approval")


def _row(approval: ApprovalItem) -> tuple[str, ...]:
    return (
        approval.root_dag_run_name or approval.dag_name,
        approval.root_dag_run_id or approval.dag_run_id,
        approval.dag_run_id if approval.root_dag_run_id else "",
        approval.step_name,
        approval.since,
        " ".join(approval.prompt.split()),
        ", ".join(name + ("*" if name in approval.required else "") for name in approval.input),
    )


@approvals.command(example=_EXAMPLE)
@click.argument("dag", metavar="DAG")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("step", metavar="STEP")
@click.option(
    "--input", "given", metavar="NAME=VALUE", multiple=True, help="A value that the step asks for; repeatable."
)
@click.option("--sub-run", metavar="ID", help="The run of a called DAG, below RUN_ID, that has the step.")
@with_api()
async def approve(api: Api, *, dag: str, run_id: str, step: str, given: tuple[str, ...], sub_run: str | None) -> None:
    """Approve what STEP of the run RUN_ID asks; the run goes on."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise click.UsageError(f"--input {wrong[0]}: write NAME=VALUE")
    body = {"inputs": {name: value for name, _, value in pairs}}
    answer = await api.post(f"{await _find_path(api, dag, run_id, step, sub_run)}/approve", Approved, body)
    left = "" if answer.resumed else "; the run waits for another approval"
    report(f"approved {step}{left}", answer)


@approvals.command(example="dagbook approvals reject deploy 0192-7f3c gate --reason Friday")
@click.argument("dag", metavar="DAG")
@click.argument("run_id", metavar="RUN_ID")
@click.argument("step", metavar="STEP")
@click.option("--reason", default="", metavar="TEXT", help="Why; it becomes a part of the error of the step.")
@click.option("--sub-run", metavar="ID", help="The run of a called DAG, below RUN_ID, that has the step.")
@with_api()
async def reject(api: Api, *, dag: str, run_id: str, step: str, reason: str, sub_run: str | None) -> None:
    """Reject what STEP of the run RUN_ID asks: the step fails."""
    path = await _find_path(api, dag, run_id, step, sub_run)
    report(f"rejected {step}", await api.post(f"{path}/reject", Rejected, {"reason": reason}))


async def _find_path(api: Api, dag: str, run_id: str, step: str, sub_run: str | None) -> str:
    """Return the API path of a step; raises ClickException if there is no such run."""
    below = f"/sub-dag-runs/{segment(sub_run)}" if sub_run else ""
    return f"{run_path(dag, await find_run_id(api, dag, run_id))}{below}/steps/{segment(step)}"
