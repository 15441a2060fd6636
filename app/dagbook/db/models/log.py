"""What steps wrote."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, LargeBinary, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, UtcDateTime


class LogChunk(Base):
    """A piece of what a node wrote to one of its streams (1 stdout, 2 stderr).

    ``seq`` counts from 0 within the stream, ``ordinal`` over both; ``first_line`` counts
    from 1, ``line_count`` is the number of newlines. ``byte_offset`` and
    ``byte_count`` are those of the step's own file; ``text`` is what is shown of it: secrets
    masked, over the log limit cut. A long one is in ``packed`` instead (``dagbook.db.compression``).
    PostgreSQL cannot store a NUL in text: whoever cuts the chunks has to replace it first, on both
    engines, so that both tell the same.
    """

    __tablename__ = "log_chunks"
    __table_args__ = (
        ForeignKeyConstraint(
            ["run_id", "attempt", "position"], ["nodes.run_id", "nodes.attempt", "nodes.position"], ondelete="CASCADE"
        ),
        CheckConstraint("stream IN (1, 2)", name="stream_known"),
        CheckConstraint("line_count >= 0 AND byte_count >= 0", name="sizes_not_negative"),
    )

    run_id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stream: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ordinal: Mapped[int]
    execution: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    first_line: Mapped[int]
    line_count: Mapped[int]
    byte_offset: Mapped[int] = mapped_column(BigInteger)
    byte_count: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    packed: Mapped[bytes | None] = mapped_column(LargeBinary)
