"""What a batch is asked by a request, and what is stored of that."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_ITEMS, LONGEST = 10_000, 500
_Text = Annotated[str, Meta(max_length=LONGEST, pattern=r"^[^\x00]*$")]  # PostgreSQL stores no NUL


class NewBatch(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The scheduled times of a DAG to start, or to do again: all between ``from`` and ``to``, both inclusive.

    These are days of the schedule, or times with a zone. ``only`` is which of them: those without a run (``missing``),
    those whose run has failed (``failed``), or ``all``, also those that have succeeded; without it the first two. What
    became of a time may be unknown, after 90 days or when its run was deleted: it is started with ``unknown`` alone.
    ``leaveOut`` has ids of runs, and scheduled times, that are left out.

    ``params`` has a format of the scheduled time for each name, such as ``%F``. ``text`` is which text runs:
    ``current``, a revision, or ``original`` for what is done again. ``expect`` is how many items there have to be. With
    ``dryRun`` nothing is stored.
    """

    action: Literal["start"]
    dag: _Text
    from_: _Text = msgspec.field(name="from")
    to: _Text
    only: Literal["missing", "failed", "all"] | None = None
    unknown: bool = False
    params: Annotated[dict[_Text, _Text], Meta(max_length=50)] = {}
    text: Literal["current", "original"] | Annotated[int, Meta(ge=1, le=2**31 - 1)] = "current"
    parallel: Annotated[int, Meta(ge=1, le=100)] = 1
    order: Literal["oldest", "newest"] = "oldest"
    on_failure: Literal["continue", "stop"] = "continue"
    reason: _Text = ""
    expect: Annotated[int, Meta(ge=0)] | None = None
    leave_out: Annotated[list[_Text], Meta(max_length=MOST_ITEMS)] = []
    dry_run: bool = False
