"""A node's output, followed and cut into chunks (house design section 7)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.executors.capture import read_text
from dagbook.runs.output import output_chunks, output_follower
from dagbook.runs.output.output_chunks import chunk_length
from dagbook.runs.output.output_follower import (
    STDERR,
    STDOUT,
    Chunk,
    OutputFollower,
    Redirect,
    StreamFollower,
    StreamOffset,
    StreamOptions,
)
from dagbook.runs.secrets.masking import Masker
from tests.runs.chunks import shown

NO_LIMIT = 2**40
NO_SECRETS = Masker()


def _follow(
    path: Path,
    *,
    redirect: Redirect | None = None,
    limit: int = NO_LIMIT,
    at: StreamOffset | None = None,
    masker: Masker = NO_SECRETS,
) -> StreamFollower:
    return StreamFollower(STDOUT, path, at or StreamOffset(), redirect, StreamOptions(limit=limit, masker=masker))


def _rest(follower: StreamFollower) -> list[Chunk]:
    chunks = []
    while follower.pending():
        if chunk := follower.take(at_end=True):
            chunks.append(chunk)
    return chunks


@contextmanager
def _small_chunks() -> Iterator[None]:
    """Few bytes are as good as many to find a border that is cut wrongly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(output_follower, "CHUNK_BYTES", 16)
        patch.setattr(output_chunks, "LONGEST_LINE_BYTES", 8)
        yield


# -- cutting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "at_end", "length"),
    [
        (b"", False, 0),
        (b"a", False, 0),
        (b"a", True, 1),
        (b"a\n", False, 2),
        (b"a\nb", False, 2),
        (b"a\nb", True, 3),
        (b"\n\n", False, 2),
        (b"x" * (output_chunks.LONGEST_LINE_BYTES - 1), False, 0),
        (b"x" * output_chunks.LONGEST_LINE_BYTES, False, output_chunks.LONGEST_LINE_BYTES),
        (b"x" * output_chunks.LONGEST_LINE_BYTES + "ä".encode()[:1], False, output_chunks.LONGEST_LINE_BYTES),
        (b"x" * output_chunks.LONGEST_LINE_BYTES + "€".encode()[:2], False, output_chunks.LONGEST_LINE_BYTES),
        (b"x" * output_chunks.LONGEST_LINE_BYTES + b"\xff", False, output_chunks.LONGEST_LINE_BYTES + 1),
    ],
    ids=range(12),
)
def test_a_chunk_ends_with_a_line_or_inside_a_very_long_one(data: bytes, at_end: bool, length: int) -> None:
    assert chunk_length(data, at_end=at_end) == length


PIECES = st.lists(
    st.one_of(st.binary(max_size=40), st.text(alphabet="ab\n\r\0ä€😀", max_size=20).map(str.encode)), max_size=12
)


@given(pieces=PIECES, looks=st.lists(st.integers(0, 3), max_size=12), restart=st.booleans())
def test_chunks_put_together_are_the_decoded_file_whatever_the_pattern_of_writing(
    pieces: list[bytes], looks: list[int], restart: bool
) -> None:
    chunks: list[Chunk] = []
    with _small_chunks(), tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "out")
        follower = _follow(path)
        for number, piece in enumerate(pieces):
            with path.open("ab") as file:
                file.write(piece)
            for _ in range(looks[number] if number < len(looks) else 0):
                chunks += filter(None, [follower.take(at_end=False)])
            if restart:
                follower = _follow(path, at=follower.position)
        chunks += _rest(follower)
    data = b"".join(pieces)
    assert "".join(shown(chunk) for chunk in chunks) == read_text(data)
    _check_numbers(chunks, data)


def _check_numbers(chunks: list[Chunk], data: bytes) -> None:
    line, offset = 1, 0
    for number, chunk in enumerate(chunks):
        assert (chunk.seq, chunk.first_line, chunk.byte_offset) == (number, line, offset)
        assert chunk.line_count == shown(chunk).count("\n")
        assert chunk.byte_count > 0
        line, offset = line + chunk.line_count, offset + chunk.byte_count
    assert offset == len(data)
    assert line == data.count(b"\n") + 1


def test_a_line_longer_than_a_chunk_is_stored_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"x" * 1_000_000 + b"\nend\n")
    chunks = _rest(_follow(path))
    assert len(chunks) > 1
    assert "".join(shown(chunk) for chunk in chunks) == "x" * 1_000_000 + "\nend\n"


def test_of_a_file_that_is_not_there_nothing_is_pending(tmp_path: Path) -> None:
    follower = _follow(tmp_path / "none")
    assert (follower.pending(), follower.take(at_end=True)) == (0, None)


# -- the limit -------------------------------------------------------------------------------------------------------


def test_output_over_the_limit_is_cut_with_a_mark_and_the_rest_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0123456789\n" * 200_000)
    follower = _follow(path, limit=300_000)
    chunks = _rest(follower)
    text = "".join(shown(chunk) for chunk in chunks)
    stored, mark = text[:300_000], text[300_000:]
    assert stored == ("0123456789\n" * 200_000)[:300_000]
    assert mark.count("300000") == 1
    assert mark.endswith("\n")
    assert (follower.pending(), [chunk.seq for chunk in chunks]) == (0, [0, 1])


def test_a_server_that_takes_over_behind_the_limit_stores_no_more(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0123456789\n" * 10)
    first = _follow(path, limit=50)
    (chunk,) = _rest(first)
    again = _follow(
        path, limit=50, at=StreamOffset(seq=1, first_line=6, byte_offset=chunk.byte_offset + chunk.byte_count)
    )
    with path.open("ab") as file:
        file.write(b"more\n")
    assert _rest(again) == []


def test_output_that_goes_on_behind_the_last_byte_that_fits_is_marked(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0123456789\n")
    follower = _follow(path, limit=11)
    assert [shown(chunk) for chunk in _rest(follower)] == ["0123456789\n"]
    for _ in range(2):
        with path.open("ab") as file:
            file.write(b"more\n")
    marks = [shown(chunk) for chunk in _rest(follower)]
    assert [mark.count("limit of 11 bytes") for mark in marks] == [1]


# -- redirects -------------------------------------------------------------------------------------------------------


@given(pieces=PIECES, kept=st.lists(st.booleans(), max_size=12))
def test_a_redirect_holds_every_byte_once_whoever_takes_over(pieces: list[bytes], kept: list[bool]) -> None:
    """A server that takes over begins where the stored log ends, which may be behind what was copied."""
    with _small_chunks(), tempfile.TemporaryDirectory() as directory:
        path, target, note = Path(directory, "out"), Path(directory, "copy"), Path(directory, "note")
        target.write_bytes(b"before|")
        stored = StreamOffset()
        for number, piece in enumerate(pieces):
            with path.open("ab") as file:
                file.write(piece)
            follower = _follow(path, redirect=Redirect(target, note), at=stored)
            follower.take(at_end=False)
            if number < len(kept) and kept[number]:
                stored = follower.position
            follower.close()
        follower = _follow(path, redirect=Redirect(target, note), at=stored)
        _rest(follower)
        follower.close()
        assert target.read_bytes() == b"before|" + b"".join(pieces)


def test_a_redirect_goes_on_behind_the_limit_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"0123456789\n" * 100)
    follower = _follow(path, redirect=Redirect(tmp_path / "copy", tmp_path / "note"), limit=20)
    _rest(follower)
    follower.close()
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_a_redirect_whose_folder_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Redirect(tmp_path / "no" / "copy", tmp_path / "note")


# -- both streams ----------------------------------------------------------------------------------------------------


async def test_both_streams_are_taken_in_turn(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    out.write_text("one\n")
    err.write_text("two")
    follower = OutputFollower(
        (
            StreamFollower(STDOUT, out, StreamOffset(), None, StreamOptions(limit=NO_LIMIT, masker=NO_SECRETS)),
            StreamFollower(STDERR, err, StreamOffset(), None, StreamOptions(limit=NO_LIMIT, masker=NO_SECRETS)),
        )
    )
    assert follower.pending() == 7
    assert [(chunk.stream, shown(chunk)) for chunk in await follower.take()] == [(STDOUT, "one\n")]
    assert [(chunk.stream, shown(chunk)) for chunk in await follower.take(at_end=True)] == [(STDERR, "two")]
    assert (follower.pending(), await follower.take(at_end=True)) == (0, [])
    follower.close()
