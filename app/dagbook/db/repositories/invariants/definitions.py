"""Checks of stored DAGs, revisions, definitions, schedule slots, users, and of references."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Select, Text, and_, cast, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased

from dagbook.db.models import Dag, DagRevision, Definition, Run, ScheduleSlot, User
from dagbook.db.repositories.invariants.check import RUN, Check
from dagbook.db.types import Base

_admin = aliased(User)
_newest = and_(DagRevision.dag_id == Dag.id, DagRevision.number == Dag.revision)

CHECKS = (
    Check(
        name="dag-has-its-revision",
        holds="The newest revision of a stored DAG has the text that the DAG has.",
        broken=select(Dag.file_name, Dag.revision)
        .outerjoin(DagRevision, _newest)
        .where(or_(DagRevision.dag_id.is_(None), DagRevision.definition_hash != Dag.definition_hash)),
    ),
    Check(
        name="revisions-without-gaps",
        holds="The revisions of a DAG are numbered from 1 to its newest without gaps.",
        broken=select(Dag.file_name, func.count().label("revisions"), func.max(DagRevision.number).label("last"))
        .join(DagRevision, DagRevision.dag_id == Dag.id)
        .group_by(Dag.id, Dag.file_name, Dag.revision)
        .having(
            or_(
                func.min(DagRevision.number) != 1,
                func.max(DagRevision.number) != func.count(),
                func.max(DagRevision.number) != Dag.revision,
            )
        ),
    ),
    Check(
        name="dag-is-readable",
        holds="The text of no stored DAG was redacted.",
        broken=select(Dag.file_name)
        .join(Definition, Definition.hash == Dag.definition_hash)
        .where(Definition.spec.is_(None)),
    ),
    Check(
        name="an-admin-is-left",
        holds="Where there are users, one of them at least is an admin.",
        broken=select(User.username, User.role).where(~exists().where(_admin.role == "admin", _admin.scope == "all")),
    ),
)

_constraints = [
    constraint
    for table in Base.metadata.sorted_tables
    for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.name))
]
_SCHEDULE = "schedule"
_OLDEST_KEPT = select(func.min(ScheduleSlot.minute)).scalar_subquery()  # slots are deleted before their runs
SCHEDULE_CHECKS = (
    Check(
        name="scheduled-run-has-its-slot",
        holds="A run that a schedule started belongs to a firing of that schedule.",
        broken=select(*RUN)
        .outerjoin(ScheduleSlot, ScheduleSlot.run_id == Run.id)
        .where(Run.trigger == _SCHEDULE, ScheduleSlot.run_id.is_(None), Run.created_at >= _OLDEST_KEPT),
    ),
)


def _dangling(constraint: ForeignKeyConstraint) -> Select[str, str, str]:
    child, parent = constraint.table, constraint.referred_table.alias("referred")
    own = [element.parent for element in constraint.elements]
    pairs = [(column, parent.c[element.column.name]) for column, element in zip(own, constraint.elements, strict=True)]
    names = ", ".join(column.name for column in own)
    return select(
        literal(child.name).label("table"), literal(names).label("columns"), cast(own[0], Text).label("value")
    ).where(
        and_(*(column.is_not(None) for column in own)),
        ~exists().where(*(theirs == column for column, theirs in pairs)).correlate(child),
    )


_found = union_all(*map(_dangling, _constraints)).subquery("dangling")

REFERENCE_CHECKS = (
    Check(
        name="references-lead-somewhere",
        holds="Every reference from one table to another leads to a row.",
        broken=select(_found),
    ),
)
