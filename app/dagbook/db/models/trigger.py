"""Triggers: what may start runs from outside, the events that did or will, and what looks have seen."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, OrderedJson, UtcDateTime
from dagbook.json_values import Json

# The words of the columns with the same names; a CHECK holds each.
TRIGGER_KINDS = ("webhook", "files", "sftp", "http", "after")
SCHEMES = ("token", "standard", "github", "gitlab", "stripe", "hmac")
EVENT_STATES = ("waiting", "filtered", "started", "superseded", "dead", "discarded", "replayed")
# Literals, as in the conditions of the partial indexes.
IS_WAITING, IS_DEAD = text("trigger_events.state = 'waiting'"), text("trigger_events.state = 'dead'")
_IS_WAITING, _IS_DEAD, _HAS_BODY = text("state = 'waiting'"), text("state = 'dead'"), text("body IS NOT NULL")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


class Trigger(Base):
    """What starts runs of a DAG. ``settings`` has no secret: ``sealed`` has it, encrypted for ``trigger NAME``.

    ``sealed_before`` is the secret before a rotation, which is taken beside the new one until ``sealed_before_until``;
    of the scheme ``token`` both are hashes. A trigger outlives its DAG, and its events are dead then. The columns from
    ``next_look_at`` on are those of looks: a server that looks has a lease. Of the kind ``after``, ``upstream_id`` is
    the DAG whose runs it follows, and ``created_by_id`` and ``created_by_token_id`` are who has to see these.
    """

    __tablename__ = "triggers"
    __table_args__ = (
        CheckConstraint("length(name) BETWEEN 1 AND 64", name="name_length"),
        CheckConstraint(_one_of("kind", TRIGGER_KINDS), name="kind_known"),
        CheckConstraint(f"scheme IS NULL OR {_one_of('scheme', SCHEMES)}", name="scheme_known"),
        CheckConstraint("(kind = 'webhook') = (scheme IS NOT NULL)", name="scheme_of_webhooks"),
        CheckConstraint(
            "every_seconds IS NULL OR (kind IN ('files', 'sftp', 'http') AND every_seconds >= 10)",
            name="every_of_looks",
        ),
        CheckConstraint("upstream_id IS NULL OR kind = 'after'", name="upstream_of_after"),
        CheckConstraint("(sealed_before IS NULL) = (sealed_before_until IS NULL)", name="rotation_ends"),
        CheckConstraint("(lease_owner IS NULL) = (lease_until IS NULL)", name="lease_ends"),
        CheckConstraint("paused_at IS NOT NULL OR paused_by IS NULL", name="paused_at_a_time"),
        CheckConstraint("per_minute >= 1 AND max_bytes >= 1 AND max_waiting >= 1 AND looks >= 0", name="limits_known"),
        Index("ix_triggers_dag_id", "dag_id"),
        Index("ix_triggers_upstream_id", "upstream_id"),
        Index("ix_triggers_next_look_at", "next_look_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    dag_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("dags.id", ondelete="SET NULL"))
    kind: Mapped[str] = mapped_column(Text)
    scheme: Mapped[str | None] = mapped_column(Text)
    settings: Mapped[dict[str, Json]] = mapped_column(OrderedJson)
    params: Mapped[dict[str, str]] = mapped_column(OrderedJson)
    filters: Mapped[list[str]] = mapped_column(OrderedJson)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_before: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_before_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    host: Mapped[str | None] = mapped_column(Text)
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(Text)
    priority: Mapped[int]
    per_minute: Mapped[int]
    max_bytes: Mapped[int]
    max_waiting: Mapped[int]
    collapse: Mapped[bool]
    together: Mapped[bool] = mapped_column(server_default=false())
    every_seconds: Mapped[int | None]
    next_look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    baseline_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    looks: Mapped[int] = mapped_column(server_default=text("0"))
    looked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    problem: Mapped[str | None] = mapped_column(Text)
    problem_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_by: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[str | None] = mapped_column(Text)
    created_by_token_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    upstream_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("dags.id", ondelete="SET NULL"))


class TriggerEvent(Base):
    """What a trigger has received or seen, once: ``key`` names it, and ``body_hash`` what is signed of it.

    The id is that of the run it starts, in whose commit it becomes ``started``. Others settle with a ``reason``. A
    trigger of the database refuses any other change but the loss of its body and of its run. ``source`` is what it
    repeats or follows: an event, or a run of another DAG; ``depth`` counts the runs before it that started one another.
    ``actor`` is who has replayed it.
    """

    __tablename__ = "trigger_events"
    __table_args__ = (
        CheckConstraint(_one_of("state", EVENT_STATES), name="state_known"),
        CheckConstraint("run_id IS NULL OR state = 'started'", name="run_of_started"),
        CheckConstraint("(state = 'waiting') = (settled_at IS NULL)", name="settled_at_a_time"),
        CheckConstraint("depth >= 0 AND replays >= 0 AND duplicates >= 0 AND body_bytes >= 0", name="not_negative"),
        Index("uq_trigger_events_key", "trigger_id", "key", unique=True),
        Index("uq_trigger_events_body_hash", "trigger_id", "body_hash", unique=True),
        Index("uq_trigger_events_run_id", "run_id", unique=True),
        Index("ix_trigger_events_received_at", "trigger_id", "received_at", "id"),
        Index(
            "ix_trigger_events_waiting",
            *("trigger_id", "received_at", "id"),
            sqlite_where=_IS_WAITING,
            postgresql_where=_IS_WAITING,
        ),
        Index("ix_trigger_events_dead", "trigger_id", sqlite_where=_IS_DEAD, postgresql_where=_IS_DEAD),
        Index(
            "ix_trigger_events_bodies",
            *("trigger_id", "received_at", "body_bytes"),
            sqlite_where=_HAS_BODY,
            postgresql_where=_HAS_BODY,
        ),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    trigger_id: Mapped[int] = mapped_column(BigKey, ForeignKey("triggers.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    reason: Mapped[str | None] = mapped_column(Text)
    run_id: Mapped[int | None] = mapped_column(BigKey, ForeignKey("runs.id", ondelete="SET NULL"))
    duplicates: Mapped[int] = mapped_column(server_default=text("0"))
    replays: Mapped[int] = mapped_column(server_default=text("0"))
    revision: Mapped[int | None]
    depth: Mapped[int] = mapped_column(server_default=text("0"))
    source: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    item: Mapped[dict[str, Json] | None] = mapped_column(OrderedJson)
    content_type: Mapped[str | None] = mapped_column(Text)
    headers: Mapped[dict[str, str]] = mapped_column(OrderedJson)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    body_bytes: Mapped[int] = mapped_column(server_default=text("0"))


class TriggerItem(Base):
    """What a look has handled; it is forgotten when it is gone, so that the same one again is a new event.

    ``generation`` is the number of that look, which is a part of the key of the event.
    """

    __tablename__ = "trigger_items"
    __table_args__ = (
        CheckConstraint("generation >= 1", name="generation_from_one"),
        Index("ix_trigger_items_event_id", "event_id"),
    )

    trigger_id: Mapped[int] = mapped_column(
        BigKey, ForeignKey("triggers.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Text)
    stable_since: Mapped[datetime] = mapped_column(UtcDateTime)
    generation: Mapped[int]
    event_id: Mapped[str | None] = mapped_column(Text, ForeignKey("trigger_events.id", ondelete="SET NULL"))
