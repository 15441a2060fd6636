"""What a check is, and the words that all of them share."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, bindparam, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from app.db.base import UtcDateTime
from app.db.models import Node, Run, RunAttempt

AnySelect = Select[*tuple[Any, ...]]

# A run that is over is one of these, a settled node may also be skipped.
OVER = (2, 3, 4, 6)
SETTLED = (2, 3, 4, 5, 6)
NOT_STARTED, RUNNING, SUCCEEDED, QUEUED = 0, 1, 4, 5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Something that must hold whenever the database is looked at.

    ``broken`` finds the rows where it does not; for what is lawful for a while it compares with instants of ``ago``.
    """

    name: str
    holds: str
    broken: AnySelect
    shown: int = 5

    def first_rows(self) -> AnySelect:
        """Select the first of the rows, each with the number of all as its last column."""
        rows = self.broken.subquery("broken")
        return select(rows, func.count().over().label("number_of_rows")).limit(self.shown)


def ago(name: str) -> ColumnElement[Any]:
    """Stand for an instant before the examination: now, minute_ago, hour_ago, or grace_ago, the orphan grace."""
    return bindparam(name, type_=UtcDateTime)


class minute_before(GenericFunction[Any]):  # noqa: N801 - it is named as functions in SQL are
    """The instant one minute before another one."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(minute_before, "sqlite")
def _in_microseconds(element: minute_before, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"({compiler.process(element.clauses, **kwargs)} - 60000000)"


@compiles(minute_before, "postgresql")
def _as_interval(element: minute_before, compiler: SQLCompiler, **kwargs: Any) -> str:
    return f"({compiler.process(element.clauses, **kwargs)} - interval '1 minute')"


RUN = (Run.dag_name, Run.run_id)
NODE = (*RUN, Node.attempt, Node.name.label("node"))
ATTEMPT = (*RUN, RunAttempt.number.label("attempt"))

IS_OVER = Run.status.in_(OVER)
IS_UNDER_WAY = Run.status.not_in(OVER)
OF_RUN = Node.run_id == Run.id
OF_LAST_ATTEMPT = and_(OF_RUN, Node.attempt == Run.attempt)
NOT_EDITED = Node.edited_at.is_(None)  # what people set by hand need not fit the rest
LAST_ATTEMPT = and_(RunAttempt.run_id == Run.id, RunAttempt.number == Run.attempt)
