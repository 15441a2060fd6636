"""The type of a check, and the expressions that checks share."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Executable, SelectBase, and_, bindparam, exists, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from dagbook.db.models import Hold, Node, Run, RunAttempt, Service
from dagbook.db.types import UtcDateTime

# Terminal statuses of runs, and of nodes, which may also be skipped.
TERMINAL = (2, 3, 4, 6)
TERMINAL_NODE = (2, 3, 4, 5, 6)
NOT_STARTED, RUNNING, SUCCEEDED, QUEUED = 0, 1, 4, 5

RUN = (Run.dag_name, Run.run_id)
NODE = (*RUN, Node.attempt, Node.name.label("node"))
ATTEMPT = (*RUN, RunAttempt.number.label("attempt"))
IS_FINISHED = Run.status.in_(TERMINAL)
IS_NOT_FINISHED = Run.status.not_in(TERMINAL)
OF_RUN = Node.run_id == Run.id
OF_LAST_ATTEMPT = and_(OF_RUN, Node.attempt == Run.attempt)
NOT_EDITED = Node.edited_at.is_(None)  # what users set by hand may contradict the rest
LAST_ATTEMPT = and_(RunAttempt.run_id == Run.id, RunAttempt.number == Run.attempt)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant of the database.

    ``broken`` selects the rows that violate it; states that are valid for a while are compared with ``ago``.
    """

    name: str
    holds: str
    broken: SelectBase
    shown: int = 5

    def first_rows(self) -> Executable:
        """Select the first violations, with the number of all in the last column."""
        rows = self.broken.subquery("broken")
        return select(rows, func.count().over().label("number_of_rows")).limit(self.shown)


def ago(name: str) -> ColumnElement[datetime]:
    """Return the parameter for an instant: now, minute_ago, ten_minutes_ago, hour_ago, grace_ago, events_since."""
    return bindparam(name, type_=UtcDateTime)


def a_server_works() -> ColumnElement[bool]:
    """Return the condition that a server has started runs of this database for ten minutes."""
    is_active = (Service.kind == "server", Service.stopped_at.is_(None), Service.lease_until >= ago("now"))
    return and_(exists().where(*is_active, Service.started_at < ago("ten_minutes_ago")), ~exists(select(Hold.id)))


class minute_before(GenericFunction[datetime]):  # noqa: N801 - it is named as functions in SQL are
    """The instant one minute before another one."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(minute_before, "sqlite")
def _in_microseconds(element: minute_before, compiler: SQLCompiler, **kwargs: object) -> str:
    return f"({compiler.process(element.clauses, **kwargs)} - 60000000)"


@compiles(minute_before, "postgresql")
def _as_interval(element: minute_before, compiler: SQLCompiler, **kwargs: object) -> str:
    return f"({compiler.process(element.clauses, **kwargs)} - interval '1 minute')"
