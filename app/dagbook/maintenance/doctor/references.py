"""Checks of references, also of those without a foreign key in the database."""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Text, and_, cast, exists, literal, select, union_all

from dagbook.db.types import Base
from dagbook.maintenance.doctor.check import AnySelect, Check


def _dangling(constraint: ForeignKeyConstraint) -> AnySelect:
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


_constraints = [
    constraint
    for table in Base.metadata.sorted_tables
    for constraint in sorted(table.foreign_key_constraints, key=lambda one: str(one.name))
]
_found = union_all(*map(_dangling, _constraints)).subquery("dangling")

CHECKS = (
    Check(
        name="references-lead-somewhere",
        holds="Every reference from one table to another leads to a row.",
        broken=select(_found),
    ),
)
