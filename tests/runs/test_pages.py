"""Which lines of a log a request means (api-behaviour 3.9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.api.params.log_paging import LineRange, PageRequest, is_part, page, resolve_range, slice_lines
from dagbook.db.repositories.logs.logs import ChunkText


@pytest.mark.parametrize(
    ("request_", "total", "expected"),
    [
        ({}, 5000, (1, 1000)),
        ({"tail": 3}, 10, (8, 3)),
        ({"tail": 30}, 10, (1, 30)),
        ({"tail": 3}, 0, (1, 3)),
        ({"tail": 99_999}, 50_000, (40_001, 10_000)),
        ({"head": 3}, 10, (1, 3)),
        ({"head": 99_999}, 10, (1, 10_000)),
        ({"offset": 4}, 10, (4, 1000)),
        ({"offset": 4, "limit": 2}, 10, (4, 2)),
        ({"offset": 40}, 10, (11, 1000)),
        ({"offset": 9**99}, 10, (11, 1000)),
        ({"limit": 99_999}, 10, (1, 10_000)),
        ({"tail": 1, "head": 2, "offset": 3}, 10, (10, 1)),
        ({"head": 2, "offset": 3}, 10, (1, 2)),
        ({"tail": 0, "head": 0, "offset": 0, "limit": 0}, 10, (1, 1000)),
        ({"tail": -1, "head": -1, "offset": -1, "limit": -1}, 10, (1, 1000)),
    ],
    ids=str,
)
def test_tail_goes_before_head_and_head_before_offset(
    request_: dict[str, int], total: int, expected: tuple[int, int]
) -> None:
    assert resolve_range(PageRequest(**request_), total) == LineRange(*expected)


@pytest.mark.parametrize(
    ("request_", "returned", "total", "more"),
    [
        ({}, 10, 10, False),
        ({}, 1000, 1001, True),
        ({"offset": 5, "limit": 2}, 2, 6, False),
        ({"offset": 5, "limit": 2}, 2, 7, True),
        ({"offset": 50}, 0, 7, False),
        ({"tail": 3}, 3, 4, True),
        ({"tail": 3}, 3, 3, False),
        ({"head": 3}, 3, 4, True),
        ({"head": 3}, 0, 0, False),
    ],
    ids=str,
)
def test_a_page_says_whether_there_is_more(request_: dict[str, int], returned: int, total: int, more: bool) -> None:
    request = PageRequest(**request_)
    log = page(["x"] * returned, resolve_range(request, total), total, part=is_part(request))
    assert (log.line_count, log.total_lines, log.has_more) == (returned, total, more)


def _chunks(texts: list[str]) -> list[ChunkText]:
    chunks, line = [], 1
    for text in texts:
        chunks.append(ChunkText(first_line=line, text=text, packed=None))
        line += text.count("\n")
    return chunks


@given(
    texts=st.lists(st.text(alphabet="ab\n", min_size=1, max_size=12), max_size=8),
    first=st.integers(1, 20),
    count=st.integers(1, 20),
)
def test_the_lines_cut_out_of_chunks_are_those_of_the_whole_text(texts: list[str], first: int, count: int) -> None:
    whole = "".join(texts).split("\n")
    if whole[-1] == "":
        whole.pop()
    lines, served = slice_lines(_chunks(texts), LineRange(first, count))
    assert lines == whole[first - 1 : first - 1 + count]
    assert served.count == len(lines)


def test_a_line_whose_beginning_is_missing_is_left_out() -> None:
    chunks = [ChunkText(first_line=5, text="rest of five\nsix\nseven\n", packed=None)]
    assert slice_lines(chunks, LineRange(4, 3)) == (["six"], LineRange(6, 1))


def test_the_carriage_return_of_a_line_is_dropped_and_no_other() -> None:
    assert slice_lines(_chunks(["a\r\nb\rc\r\r\n"]), LineRange(1, 9))[0] == ["a", "b\rc\r"]
