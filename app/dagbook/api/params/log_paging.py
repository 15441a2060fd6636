"""Pages of a log: which lines a request means, and the lines cut out of chunks. Pure (api-behaviour 3.9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from dagbook.api.schemas.runs import Log

_DEFAULT_LINES, _MOST_LINES = 1000, 10_000


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for; values below 1 count as absent."""

    tail: int | None = None
    head: int | None = None
    offset: int | None = None
    limit: int | None = None


class LineRange(msgspec.Struct, frozen=True):
    """Lines to return: the first one, from 1, and how many at most."""

    first: int
    count: int


def resolve_range(request: PageRequest, total: int) -> LineRange:
    """Say which lines are meant: tail before head before offset."""
    if request.tail and request.tail > 0:
        count = min(request.tail, _MOST_LINES)
        return LineRange(max(total - count + 1, 1), count)
    if request.head and request.head > 0:
        return LineRange(1, min(request.head, _MOST_LINES))
    first = min(request.offset, total + 1) if request.offset and request.offset > 0 else 1
    wanted = request.limit if request.limit and request.limit > 0 else _DEFAULT_LINES
    return LineRange(first, min(wanted, _MOST_LINES))


def slice_lines(chunks: Sequence[Mapping[str, Any]], wanted: LineRange) -> tuple[list[str], LineRange]:
    """Cut the wanted lines out of consecutive chunks, and say which lines these are.

    Chunks may begin and end inside a line. There may be fewer than asked for when the lines are very long;
    a line whose beginning is missing is then left out.
    """
    if not chunks:
        return [], LineRange(wanted.first, 0)
    lines = "".join(chunk["text"] for chunk in chunks).split("\n")
    if lines[-1] == "":
        lines.pop()
    begin = chunks[0]["first_line"]
    first = wanted.first if begin <= wanted.first else begin + 1
    cut = lines[first - begin : wanted.first + wanted.count - begin]
    return [line.removesuffix("\r") for line in cut], LineRange(first, len(cut))


def page(lines: Sequence[str], wanted: LineRange, total: int, *, part: bool) -> Log:
    """Make the answer; ``part`` is for tail and head, which say only whether anything was left out."""
    more = len(lines) < total if part else wanted.first + len(lines) - 1 < total
    return Log(
        content="\n".join(lines),
        line_count=len(lines),
        total_lines=total,
        has_more=more if lines or part else False,
        is_estimate=UNSET,
    )


def is_part(request: PageRequest) -> bool:
    """Whether a request asks for one end of the log."""
    return bool((request.tail and request.tail > 0) or (request.head and request.head > 0))
