"""Paging of logs: the requested range, and its lines from chunks. Pure (api-behaviour 3.9)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from msgspec import UNSET

from dagbook.api.params import parameters
from dagbook.api.schemas.runs import Log
from dagbook.db.repositories.logs.logs import ChunkText
from dagbook.db.repositories.logs.merged_logs import Chunk, Lines

_DEFAULT_LINES, _MAX_LINES = 1000, 10_000


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Paging parameters of a request; values below 1 count as absent."""

    tail: int | None = None
    head: int | None = None
    offset: int | None = None
    limit: int | None = None


class LineRange(msgspec.Struct, frozen=True):
    """Range of lines: number of the first one, from 1, and the maximum count."""

    first: int
    count: int


def provide_page_request(
    run: NamedDependency[SkipValidation[object]],  # noqa: ARG001 - for the order: a task each would cost ten times as much
    tail: parameters.Tail = None,
    head: parameters.Head = None,
    offset: parameters.Offset = None,
    limit: parameters.Limit = None,
) -> PageRequest:
    return PageRequest(tail=tail, head=head, offset=offset, limit=limit)


def resolve_range(request: PageRequest, total: int) -> LineRange:
    """Return the requested range; tail takes precedence over head, and head over offset."""
    if request.tail and request.tail > 0:
        count = min(request.tail, _MAX_LINES)
        return LineRange(max(total - count + 1, 1), count)
    if request.head and request.head > 0:
        return LineRange(1, min(request.head, _MAX_LINES))
    first = min(request.offset, total + 1) if request.offset and request.offset > 0 else 1
    limit = request.limit if request.limit and request.limit > 0 else _DEFAULT_LINES
    return LineRange(first, min(limit, _MAX_LINES))


def slice_lines(chunks: Sequence[ChunkText], requested: LineRange) -> tuple[list[str], LineRange]:
    """Return the lines of a range from consecutive chunks, and the range that was found.

    Chunks may start and end inside a line. When lines are very long there may be fewer than requested;
    a line whose start is missing is then left out.
    """
    if not chunks:
        return [], LineRange(requested.first, 0)
    lines = "".join(chunk.text for chunk in chunks).split("\n")
    if lines[-1] == "":
        lines.pop()
    begin = chunks[0].first_line
    first = requested.first if begin <= requested.first else begin + 1
    cut = lines[first - begin : requested.first + requested.count - begin]
    return [line.removesuffix("\r") for line in cut], LineRange(first, len(cut))


def page(lines: Sequence[str], requested: LineRange, total: int, *, part: bool) -> Log:
    """Make the response body; with ``part`` (tail and head) ``hasMore`` says only whether any line was left out."""
    more = len(lines) < total if part else requested.first + len(lines) - 1 < total
    return Log(
        content="\n".join(lines),
        line_count=len(lines),
        total_lines=total,
        has_more=more if lines or part else False,
        is_estimate=UNSET,
    )


def is_part(request: PageRequest) -> bool:
    """Whether tail or head is requested."""
    return bool((request.tail and request.tail > 0) or (request.head and request.head > 0))


def slice_chunk(chunk: Chunk, lines: Lines) -> tuple[int, str]:
    """Return the number of the first one of these lines in a chunk, and their text in it, which may be empty."""
    first = max(lines.first, chunk.line)
    end = lines.first + lines.count - chunk.line
    parts = chunk.text.split("\n")
    chosen = parts[first - chunk.line : max(end, 0)]
    return first, "\n".join(chosen) + ("\n" if chosen and end < len(parts) else "")
