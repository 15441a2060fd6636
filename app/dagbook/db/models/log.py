"""Output of steps."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, LargeBinary, SmallInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from dagbook.db.types import Base, BigKey, UtcDateTime


class LogChunk(Base):
    """A chunk of the output of a node on one stream (1 stdout, 2 stderr).

    ``seq`` counts from 0 within the stream, ``ordinal`` over both streams; ``first_line`` counts from 1, ``line_count``
    is the number of newlines. ``byte_offset`` and ``byte_count`` refer to the step's output file. ``text`` is the
    output with secrets masked, truncated at the log limit; a long text is in ``packed`` instead
    (``dagbook.db.compression``). PostgreSQL cannot store NUL in text: the code that splits output into chunks replaces
    it first, for both databases, so that both return the same text.
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
