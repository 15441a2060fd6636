"""Processes on the database and their leases, what holds them, and the SSH hosts that their steps log in to."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text
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
    labels: Mapped[dict[str, str] | None] = mapped_column(OrderedJson)
    capacity: Mapped[int | None]
    spool_id: Mapped[str | None] = mapped_column(Text)
    spool_dir: Mapped[str | None] = mapped_column(Text)


class Hold(Base):
    """While there is a row, no process takes over, starts, queues from or schedules a run; one row at most.

    ``origin`` is the name of the file that was restored.
    """

    __tablename__ = "holds"
    __table_args__ = (CheckConstraint("id = 1", name="only_one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    held_at: Mapped[datetime] = mapped_column(UtcDateTime)
    held_by: Mapped[str | None] = mapped_column(Text)
    origin: Mapped[str] = mapped_column(Text)


class SshHostKey(Base):
    """The key of an SSH host, stored by a version before 0.2.0, and moved to files of known hosts.

    The table is dropped one release after 0.2.0.
    """

    __tablename__ = "ssh_host_keys"
    __table_args__ = (
        CheckConstraint("length(host) BETWEEN 1 AND 253", name="host_length"),
        CheckConstraint("port BETWEEN 1 AND 65535", name="port_known"),
        CheckConstraint("length(algorithm) BETWEEN 1 AND 64", name="algorithm_length"),
        CheckConstraint("length(fingerprint) BETWEEN 1 AND 64", name="fingerprint_length"),
    )

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    port: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    algorithm: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    stored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    accepted_by: Mapped[str | None] = mapped_column(Text)
