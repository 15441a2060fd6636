"""Reads of single steps of a run: how they were carried out, their history, and the summaries that they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec
from sqlalchemy import and_, bindparam, func, select

from dagbook.db.database import ReadConnection
from dagbook.db.models.node import Node, Summary
from dagbook.db.models.run import RunEvent, RunInput
from dagbook.db.repositories.runs.runs import EventRow, NodeRow
from dagbook.db.statements import all_rows, columns, first_row
from dagbook.spec.model import Pair

# Of the summaries of a run that are read together; each has at most 64 KiB.
_MOST_SUMMARIES, _MOST_CHARACTERS = 50, 256 * 1024
_find_node = (
    select(*Node.__table__.columns)
    .where(Node.run_id == bindparam("run"), Node.attempt == bindparam("number"), Node.name == bindparam("name"))
    .order_by(Node.handler.desc())
    .limit(1)
)
_find_events = (
    select(*columns(RunEvent, EventRow))
    .where(
        RunEvent.run_id == bindparam("run"),
        RunEvent.attempt == bindparam("number"),
        RunEvent.position == bindparam("position"),
    )
    .order_by(RunEvent.seq.desc())
    .limit(bindparam("most"))
)
_find_summaries = (
    select(Node.position, Node.name, Summary.text)
    .join(
        Summary,
        and_(
            Summary.run_id == Node.run_id,
            Summary.attempt == func.coalesce(Node.log_attempt, Node.attempt),
            Summary.position == Node.position,
        ),
    )
    .where(Node.run_id == bindparam("run"), Node.attempt == bindparam("number"), Node.has_summary)
    .order_by(Node.position < 0, Node.position)  # steps, then handlers
    .limit(bindparam("most"))
)


class Ran(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the last execution of a node was carried out; secrets are masked.

    ``commands`` has a list of words for each command line. ``script`` is the evaluated one if it is not that of the
    definition; its file is the last word. ``env`` is that of the step alone. With ``cut`` a part is left out.
    """

    service: str = ""
    host: str = ""
    directory: str = ""
    account: str = ""
    commands: tuple[tuple[str, ...], ...] = ()
    script: str | None = None
    env: tuple[Pair, ...] = ()
    cut: bool = False


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a step or handler."""

    position: int
    name: str
    text: str


class Summaries(msgspec.Struct, frozen=True):
    """The first summaries of a run, and whether there are more."""

    rows: Sequence[SummaryRow]
    has_more: bool = False


class EnvironmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluated ``env`` of the definition, secrets masked, and the names of dotenv variables."""

    env: list[list[str]]
    dotenv: list[list[str]]


_get_environment = select(*columns(RunInput, EnvironmentRow)).where(RunInput.run_id == bindparam("run"))


def find_node(connection: ReadConnection, run: int, attempt: int, name: str) -> NodeRow | None:
    """Return the step of this name, or the handler if both have it, with ``ran``."""
    return first_row(connection, NodeRow, _find_node, run=run, number=attempt, name=name)


def find_events(connection: ReadConnection, node: NodeRow, most: int) -> Sequence[EventRow]:
    """Return the newest events of a node in the attempt that ran it, oldest first."""
    number = node.log_attempt or node.attempt
    values = {"run": node.run_id, "number": number, "position": node.position, "most": most}
    return all_rows(connection, EventRow, _find_events, **values)[::-1]


def get_environment(connection: ReadConnection, run: int) -> EnvironmentRow | None:
    """Return the variables of a run that its definition sets."""
    return first_row(connection, EnvironmentRow, _get_environment, run=run)


def find_summaries(connection: ReadConnection, run: int, attempt: int) -> Summaries:
    """Return the summaries of an attempt, those of steps first; a step that a retry kept has that of its attempt."""
    found = all_rows(connection, SummaryRow, _find_summaries, run=run, number=attempt, most=_MOST_SUMMARIES + 1)
    sizes = accumulate(len(row.text) for row in found)
    rows = [row for row, size in zip(found, sizes, strict=True) if size <= _MOST_CHARACTERS][:_MOST_SUMMARIES]
    return Summaries(rows, has_more=len(rows) < len(found))


def get_summary(connection: ReadConnection, node: NodeRow) -> str:
    """Return the summary of a node, empty if it has none."""
    statement = select(Summary.text).where(
        Summary.run_id == node.run_id,
        Summary.attempt == (node.log_attempt or node.attempt),
        Summary.position == node.position,
    )
    return (connection.scalar(statement) or "") if node.has_summary else ""
