"""Long stretches of history, ready to be listed."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, UtcDateTime

_IS_STALE = text("form = ''")


class RunBlock(Base):
    """Root runs of one DAG name that are over and follow each other, as lists show them.

    A block has all the runs of its DAG that were created up to ``newest`` and after the ``newest`` of the block before
    it; so whatever run is added, changed or removed belongs to one block, which a trigger marks as stale: ``form`` is
    then empty. ``items`` are the runs as text in that form, from the newest on, ``places`` where each of them is in
    lists: microseconds since 1970, run id and key; both packed. ``oldest`` is when the last of them was created.
    Without ``items`` the runs themselves have to be read.
    """

    __tablename__ = "run_blocks"
    __table_args__ = (
        CheckConstraint("oldest <= newest", name="oldest_before_newest"),
        CheckConstraint("form <> '' OR items IS NULL", name="stale_without_items"),
        Index("ix_run_blocks_stale", "dag_name", "newest", sqlite_where=_IS_STALE, postgresql_where=_IS_STALE),
    )

    dag_name: Mapped[str] = mapped_column(Text, primary_key=True)
    newest: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    oldest: Mapped[datetime] = mapped_column(UtcDateTime)
    runs: Mapped[int]
    form: Mapped[str] = mapped_column(Text)
    places: Mapped[bytes] = mapped_column(LargeBinary)
    items: Mapped[bytes | None] = mapped_column(LargeBinary)
