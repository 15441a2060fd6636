"""Cursors: read as written, and nothing else is read."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.api.params.cursors import read_cursor, write_cursor
from dagbook.db.repositories.runs.run_filter import RunCursor
from dagbook.errors import BadRequestError

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("place", [RunCursor(NOW), RunCursor(NOW, "r-1_x", 2**62), RunCursor(NOW, "r", -(2**40))])
@pytest.mark.parametrize("since", [None, NOW])
def test_a_cursor_is_read_as_it_was_written(place: RunCursor, since: datetime | None) -> None:
    cursor = read_cursor(write_cursor(place, since))
    assert (cursor.position, cursor.since, cursor.within) == (place, since, None)


def test_the_cursor_of_a_search_may_be_within_a_run() -> None:
    cursor = read_cursor(write_cursor(RunCursor(NOW), NOW, (2**62, 0, 1, 10**9 - 1)))
    assert (cursor.position, cursor.since, cursor.within) == (RunCursor(NOW), NOW, (2**62, 0, 1, 10**9 - 1))


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "!!!!",
        "é",
        "a" * 1000,
        encoded("[]"),
        encoded("null"),
        encoded('[["2026-03-01T12:30:15",null,null],null]'),  # of no zone
        encoded('[["2026-03-01T12:30:15Z","r",null],null]'),
        encoded('[["2026-03-01T12:30:15Z",null,1],null]'),
        encoded('[["2026-03-01T12:30:15Z","r\\u0000",1],null]'),
        encoded(f'[["2026-03-01T12:30:15Z","r",{2**63}],null]'),
        encoded(f'[["2026-03-01T12:30:15Z","{"r" * 65}",1],null]'),
        encoded('[["2026-03-01T12:30:15Z","r",1],"2026-03-01T12:30:15"]'),
        encoded('[["\' OR 1=1 --","r",1],null]'),
        encoded('[["2026-03-01T12:30:15Z",null,null],null,[1,2,3]]'),
        encoded('[["2026-03-01T12:30:15Z",null,null],null,[1,0,1,-1]]'),
        encoded(f'[["2026-03-01T12:30:15Z",null,null],null,[{2**63},0,1,1]]'),
        encoded(f'[["2026-03-01T12:30:15Z",null,null],null,[1,0,1,{"9" * 40}]]'),
    ],
)
def test_what_is_no_cursor_is_refused_with_the_fix(text: str) -> None:
    with pytest.raises(BadRequestError, match=r"cursor: .* use nextCursor"):
        read_cursor(text)


@given(st.text())
def test_no_text_does_worse_than_be_refused(text: str) -> None:
    with pytest.raises(BadRequestError):
        read_cursor(text)
