"""Search among the newest runs: by what ids and params begin with, and for a text in errors.

A range of an index would find a prefix only where the collation of the database is the order of bytes, which it rarely
is on PostgreSQL. So the newest runs are looked at, the newest first, up to a number of them: from an index with the id,
and from the rows of params in the order of their runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import monotonic

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)

from dagbook.db.database import ReadConnection
from dagbook.db.models.node import Node
from dagbook.db.models.run import Run, RunParam
from dagbook.db.repositories.accounts import dag_access
from dagbook.db.repositories.accounts.dag_access import Visibility
from dagbook.db.repositories.runs import run_list
from dagbook.db.repositories.runs.run_filter import Page, RunFilter, begins, position
from dagbook.db.repositories.runs.run_list import RunListRow
from dagbook.db.repositories.runs.search_index import HEAD
from dagbook.db.statements import all_rows
from dagbook.engine.status import RunStatus

MAX_RUNS, MAX_PARAMS = 100_000, 200_000
_AT_A_TIME = 25_000  # runs, or params, of one statement
_SECONDS = 0.5  # then a slow database has shown what it found so far
_LAST_KEY = 2**63 - 1
_is_low_enough = RunParam.run_id <= bindparam("high", type_=BigInteger)
_find_low = select(RunParam.run_id).where(_is_low_enough).order_by(RunParam.run_id.desc()).limit(1)


class FoundParam(msgspec.Struct, frozen=True, kw_only=True):
    """A param of a root run; a long value is the start of it."""

    key: int
    dag_name: str
    run_id: str
    status: RunStatus
    started_at: datetime | None
    name: str
    value: str


class FoundError(msgspec.Struct, frozen=True, kw_only=True):
    """An error of a root run or of a run below it, or of a step of one; ``root`` is the key of the root run."""

    root: int
    key: int
    run_id: str
    step: str | None
    error: str
    finished_at: datetime | None


def find_by_id(connection: ReadConnection, prefix: str, visibility: Visibility, most: int) -> list[RunListRow]:
    """Return visible root runs whose ids begin with a text, the newest first.

    They are among the newest ``MAX_RUNS``, but for the run with a whole generated id.
    """
    wanted = RunFilter(run_id_prefix=prefix, visibility=visibility)
    found: list[RunListRow] = []
    after, until = None, monotonic() + _SECONDS
    for _ in range(0, MAX_RUNS, _AT_A_TIME):
        part = Page(limit=most - len(found), after=after, bounded=True, scans=_AT_A_TIME)
        page = run_list.find_page(connection, wanted, part)
        found += page.runs
        after = page.next
        if after is None or len(found) >= most or monotonic() > until:
            break
    return found


def find_by_param(connection: ReadConnection, text: str, visibility: Visibility, most: int) -> list[FoundParam]:
    """Return params of visible root runs whose values begin with a text, or with its rest after ``NAME=``.

    They are among the newest ``MAX_PARAMS``, those of sub-runs included; the newest run is first, as keys go by time.
    """
    found: list[FoundParam] = []
    part, until = _params(text, visibility), monotonic() + _SECONDS
    high: int | None = _LAST_KEY
    for _ in range(0, MAX_PARAMS, _AT_A_TIME):
        low = connection.scalar(_find_low.offset(_AT_A_TIME), {"high": high})
        keys = {"high": high, "low": -1 if low is None else low}
        found += all_rows(connection, FoundParam, part.limit(most - len(found)), **keys)
        high = low
        if high is None or len(found) >= most or monotonic() > until:
            break
    return found


def _params(text: str, visibility: Visibility) -> Select[*tuple[object, ...]]:
    """Select the params that match, of runs in a range of keys."""
    columns = (Run.id.label("key"), Run.dag_name, Run.run_id, Run.status, Run.started_at, RunParam.name)
    # The sum keeps SQLite from a scan of all runs with a look for the params of each.
    return (
        select(*columns, func.substr(RunParam.value, 1, HEAD + 1).label("value"))
        .select_from(RunParam)
        .join(Run, Run.id == RunParam.run_id + 0)
        .where(RunParam.run_id > bindparam("low", type_=BigInteger), _is_low_enough, _is_param(text))
        .where(Run.root_id.is_(None), *dag_access.narrow(Run.dag_name, visibility))
        .order_by(RunParam.run_id.desc(), RunParam.position.desc())
    )


def _is_param(text: str) -> ColumnElement[bool]:
    """Return the condition; of long values only the start is stored."""
    by_value = begins(RunParam.value, text[:HEAD])
    name, equals, value = text.partition("=")
    if not equals:
        return by_value
    return or_(by_value, and_(RunParam.name.in_([name, name.upper()]), begins(RunParam.value, value[:HEAD])))


def find_errors(connection: ReadConnection, roots: Sequence[int], text: str, most: int) -> list[FoundError]:
    """Return the errors with a text in them, ignoring case, of root runs and runs below: at most so many of each root.

    An error of a run that is also that of a step is the step's.
    """
    errors = union_all(*_errors(roots)).subquery()
    place = position(connection.dialect.name, func.lower(errors.c.error), func.lower(text))
    order = (errors.c.key, errors.c.step.is_(None), errors.c.place)
    number = func.row_number().over(partition_by=errors.c.root, order_by=order).label("number")
    found = select(errors, number).where(place > 0).subquery()
    columns = [found.c[name] for name in FoundError.__struct_fields__]
    statement = select(*columns).where(found.c.number <= most).order_by(found.c.root.desc(), found.c.number)
    rows = all_rows(connection, FoundError, statement)
    of_steps = {(row.key, row.error) for row in rows if row.step is not None}
    return [row for row in rows if row.step is not None or (row.key, row.error) not in of_steps]


def _errors(roots: Sequence[int]) -> list[Select[*tuple[object, ...]]]:
    """Select the errors of runs, and those of the steps of their newest attempts."""
    columns = (Run.id, Run.run_id, Run.attempt, Run.error, Run.finished_at)
    tree = union_all(
        select(*columns, Run.id.label("root")).where(Run.id.in_(roots)),
        select(*columns, Run.root_id.label("root")).where(Run.root_id.in_(roots)),
    ).cte("tree")
    names = (tree.c.root, tree.c.id.label("key"), tree.c.run_id)
    no_step = (cast(null(), Text).label("step"), literal(0).label("place"))
    nodes = and_(Node.run_id == tree.c.id + 0, Node.attempt == tree.c.attempt + 0)
    return [
        select(*names, *no_step, tree.c.error, tree.c.finished_at).where(tree.c.error.is_not(None)),
        select(*names, Node.name, Node.position, Node.error, Node.finished_at)
        .select_from(tree)
        .join(Node, nodes)
        .where(Node.error != ""),
    ]
