"""Checks of stored DAGs, their revisions and definitions, and of users."""

from __future__ import annotations

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from dagbook.db.models import Dag, DagRevision, Definition, User
from dagbook.maintenance.doctor.check import Check

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
        broken=select(User.username, User.role).where(~exists().where(_admin.role == "admin")),
    ),
)
