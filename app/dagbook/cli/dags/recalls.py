"""``dagbook recall`` and ``dagbook bulk``: runs that are done again, retried, stopped or removed, many at once."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from datetime import datetime

import click
from click.decorators import FC

from dagbook.api.schemas.batches import CreatedBatch
from dagbook.cli.api import Api, with_api
from dagbook.cli.commands import CommandGroup, GlobalOptions
from dagbook.cli.complete import complete_dags
from dagbook.cli.dags.batches import batch_members, running_options, send, sending_options, take_sending
from dagbook.cli.output import count_of, words
from dagbook.cli.runs.logs import Moment
from dagbook.cli.runs.show import read_filters, with_filters

_optional_dag = click.argument("dag", required=False, default="", metavar="[DAG]", shell_complete=complete_dags)


@click.command(cls=GlobalOptions, example="dagbook recall etl --revision 9..10 --reason 'lost the last row' --dry-run")
@_optional_dag
@click.option("--revision", metavar="N[..M]", help="Runs of this revision of their DAG, or of these.")
@click.option("--secret", metavar="NAME[@VERSION]", help="Runs that had this secret, by its key.")
@click.option("--worker", metavar="ID", help="Runs that this worker or server executed, by its id or name.")
@click.option("--where-param", "param", multiple=True, metavar="NAME=VALUE", help="Runs with this param; repeatable.")
@click.option("--step", metavar="STEP", help="Of these only runs in which this step was executed.")
@click.option("--since", type=Moment(), metavar="TIME", help="Of these only runs since this time: 3d, or a date.")
@click.option("--reason", required=True, metavar="TEXT", help="Why they are done again; the runs say so.")
@running_options()
@sending_options
@with_api()
def recall(
    api: Api, /, *, dag: str, since: datetime | None, param: tuple[str, ...], **options: object
) -> Awaitable[int]:
    """Do the runs again that a wrong text, secret, machine or param has affected, each as a new run that replaces it.

    Those that were replaced already are left out. The new runs have the params of the old ones and the current text.
    """
    how = take_sending(options)
    names = ("revision", "secret", "worker")
    wanted: dict[str, object] = {name: value for name in names if (value := options.pop(name)) is not None}
    wanted |= {"param": param} if param else {}
    if not wanted:
        raise click.UsageError("say which runs: give --revision, --secret, --worker or --where-param")
    step = options.pop("step")
    wanted |= {} if step is None else {"step": step}
    wanted |= {} if since is None else {"fromDate": max(int(since.timestamp()), 0)}
    body = {"action": "again", "filter": wanted, **({"dag": dag} if dag else {}), **batch_members(options)}
    return send(api, body, _runs, how, counts=True)


@click.group(cls=CommandGroup, example="dagbook bulk retry --status failed --since 03:00 --expect 137")
def bulk() -> None:
    """Retry, stop, dequeue or delete all runs that match. Goes through the server if one is running.

    The filters are those of `dagbook runs`, and one of them has to be given.
    """


def _bulk_options(command: FC) -> FC:
    """Add what the commands have in common."""
    command = sending_options(command)
    command = click.option("--reason", default="", metavar="TEXT", help="Why, for those who ask later.")(command)
    command = click.option(
        "--expect", type=click.IntRange(min=0), metavar="N", help="Do it only if so many runs match."
    )(command)
    return _optional_dag(with_filters(command))


@bulk.command(example="dagbook bulk retry --status failed --since 03:00 --error 'connection refused'")
@_bulk_options
@running_options(parallel=4)
@with_api()
def retry(api: Api, /, **options: object) -> Awaitable[int]:
    """Retry failed runs of the DAG, or of all; one with another text than the current one is replaced by a new run."""
    running = {name: options.pop(name) for name in ("text", "parallel", "order", "on_failure")}
    return _send(api, "retry", running, **options)


@bulk.command(example="dagbook bulk stop etl --status running")
@_bulk_options
@with_api()
def stop(api: Api, /, **options: object) -> Awaitable[int]:
    """Stop running runs of the DAG, or of all."""
    return _send(api, "stop", {}, **options)


@bulk.command(example="dagbook bulk dequeue etl --trigger backfill")
@_bulk_options
@with_api()
def dequeue(api: Api, /, **options: object) -> Awaitable[int]:
    """Remove queued runs of the DAG, or of all, from their queues; a retried one is as before the retry."""
    return _send(api, "dequeue", {}, **options)


@bulk.command(example="dagbook bulk delete etl --status failed --days 1 --dry-run")
@_bulk_options
@with_api()
def delete(api: Api, /, **options: object) -> Awaitable[int]:
    """Delete finished runs of the DAG, or of all, with their logs."""
    return _send(api, "delete", {}, **options)


def _send(api: Api, action: str, running: Mapping[str, object], /, **options: object) -> Awaitable[int]:
    how = take_sending(options)
    own, dag = {name: options.pop(name) for name in ("expect", "reason")}, options.pop("dag")
    wanted: dict[str, object] = {**read_filters(options)}
    if "waitingForApproval" in wanted:  # a query has texts
        wanted["waitingForApproval"] = wanted["waitingForApproval"] == "true"
    if not wanted:
        raise click.UsageError("say which runs: give at least one filter; `dagbook runs` has the same")
    body = {"action": action, "filter": wanted, **({"dag": dag} if dag else {}), **batch_members({**own, **running})}
    return send(api, body, _runs, how, counts=True)


def _runs(planned: CreatedBatch) -> str:
    """Return how many runs match, and their statuses."""
    found = sorted(planned.runs.items(), key=lambda item: (-item[1], item[0]))
    counts = ", ".join(f"{number} {words(status)}" for status, number in found)
    head = count_of(sum(planned.runs.values()), "run")
    return f"{head}: {counts}" if counts else head
