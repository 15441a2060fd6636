"""Processes on the database and their leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, OrderedJson, UtcDateTime


class Service(Base):
    """One process on this database, with the lease of all attempts it owns.

    Workers have a display ``name``, ``labels``, and a ``capacity``: the number of runs at a time. ``spool_id``
    identifies the spool that the steps of its runs write to, ``spool_dir`` is the spool's path on its machine.
    """

    __tablename__ = "services"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    boot_id: Mapped[str] = mapped_column(Text)
    pid_namespace: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    pid_started: Mapped[int] = mapped_column(BigInteger)
    address: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(Text)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heartbeat_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    name: Mapped[str | None] = mapped_column(Text)
    labels: Mapped[Any] = mapped_column(OrderedJson, nullable=True)
    capacity: Mapped[int | None]
    spool_id: Mapped[str | None] = mapped_column(Text)
    spool_dir: Mapped[str | None] = mapped_column(Text)
