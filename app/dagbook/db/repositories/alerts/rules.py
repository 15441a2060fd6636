"""Rules of alerts and the channels that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import case, delete, func, insert, literal, select, update

from dagbook.db.database import ReadConnection, WriteConnection
from dagbook.db.models.alert import AlertChannel, AlertRule, AlertTarget
from dagbook.db.models.definition import Dag
from dagbook.db.statements import all_rows, columns, insert_into
from dagbook.db.types import UtcDateTime


class NewRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule to store."""

    name: str
    match: Sequence[str]
    kinds: Sequence[str]
    after: int
    remind_seconds: int
    quiet: str | None
    enabled: bool
    configured: bool
    tells_success: bool
    dag_id: int | None


class NewTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A channel of a rule to store."""

    channel_id: int
    delay_seconds: int = 0


class TargetRow(NewTarget, frozen=True, kw_only=True):
    """A channel of a rule."""

    channel: str
    type: str
    enabled: bool
    shared: bool = False


class RuleRow(NewRule, frozen=True, kw_only=True):
    """A rule with its channels; ``match`` is the name of the DAG that it is for, if it is for one."""

    id: int
    created_at: datetime
    dag_name: str | None
    targets: Sequence[TargetRow] = ()


class DagTags(msgspec.Struct, frozen=True, kw_only=True):
    """The names and the tags of a stored DAG."""

    file_name: str
    dag_name: str
    tags: Sequence[str]


class _Target(TargetRow, frozen=True, kw_only=True):
    rule_id: int


_select = select(*columns(AlertRule, RuleRow), Dag.dag_name).outerjoin(Dag, Dag.id == AlertRule.dag_id)
_targets = (
    select(
        *columns(AlertTarget, _Target),
        AlertChannel.name.label("channel"),
        AlertChannel.type,
        AlertChannel.enabled,
        AlertChannel.shared,
    )
    .join(AlertChannel, AlertChannel.id == AlertTarget.channel_id)
    .order_by(AlertChannel.name)
)
_dags = select(*columns(Dag, DagTags)).order_by(Dag.dag_name)


def find(connection: ReadConnection, *, enabled: bool = False) -> list[RuleRow]:
    """Return all rules, or all enabled ones, by name."""
    statement = _select.where(AlertRule.enabled) if enabled else _select
    rows = all_rows(connection, RuleRow, statement.order_by(AlertRule.name))
    targets: dict[int, list[TargetRow]] = {}
    for target in all_rows(connection, _Target, _targets) if rows else ():
        targets.setdefault(target.rule_id, []).append(target)
    return [
        msgspec.structs.replace(
            row, targets=targets.get(row.id, ()), match=[row.dag_name] if row.dag_name else row.match
        )
        for row in rows
    ]


def get(connection: ReadConnection, name: str) -> RuleRow | None:
    """Return a rule by name."""
    return next((row for row in find(connection) if row.name == name), None)


def add(connection: WriteConnection, rule: NewRule, targets: Iterable[NewTarget], at: datetime) -> bool:
    """Store a rule; False when its name is taken."""
    values = {**msgspec.structs.asdict(rule), "created_at": at}
    added = insert_into(AlertRule).values(values).on_conflict_do_nothing(index_elements=["name"])
    key = connection.execute(added.returning(AlertRule.id)).scalar()
    if key is not None:
        _add_targets(connection, key, targets)
    return key is not None


def replace(
    connection: WriteConnection, rule_id: int, rule: NewRule, targets: Iterable[NewTarget], at: datetime
) -> None:
    """Change a rule and its channels; one that was disabled begins again when it is enabled."""
    since = case((AlertRule.enabled, AlertRule.created_at), else_=literal(at, UtcDateTime))
    values = {**msgspec.structs.asdict(rule), "created_at": since}
    connection.execute(update(AlertRule).where(AlertRule.id == rule_id).values(values))
    connection.execute(delete(AlertTarget).where(AlertTarget.rule_id == rule_id))
    _add_targets(connection, rule_id, targets)


def _add_targets(connection: WriteConnection, rule_id: int, targets: Iterable[NewTarget]) -> None:
    rows = [{"rule_id": rule_id, **msgspec.structs.asdict(target)} for target in targets]
    connection.execute(insert(AlertTarget), rows)


def remove(connection: WriteConnection, rule_id: int) -> None:
    """Delete a rule."""
    connection.execute(delete(AlertRule).where(AlertRule.id == rule_id))


def count(connection: ReadConnection) -> int:
    """Count the rules."""
    return connection.scalar(select(func.count()).select_from(AlertRule)) or 0


def find_dag_id(connection: ReadConnection, dag_name: str) -> int | None:
    """Return the key of the stored DAG with a DAG name, if there is one."""
    return connection.scalar(select(Dag.id).where(Dag.dag_name == dag_name).order_by(Dag.id).limit(1))


def find_dags(connection: ReadConnection, file_name: str | None = None) -> list[DagTags]:
    """Return the names and tags of all stored DAGs, or of one."""
    return all_rows(connection, DagTags, _dags if file_name is None else _dags.where(Dag.file_name == file_name))
