"""No secret leaves the spool, wherever reads, lines, limits and servers end (runtime 29)."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from dagbook.runs.output import output_chunks, output_follower
from dagbook.runs.output.output_follower import STDOUT, Chunk, Redirect, StreamFollower, StreamOffset, StreamOptions
from dagbook.runs.secrets.masking import Masker
from tests.runs.chunks import shown

NO_LIMIT = 2**40
BORDERS = 10_000
VALUE = 'correct horse/"battery" + staple\nßecond line of it'
FORMS = [
    VALUE,
    base64.b64encode(VALUE.encode()).decode(),
    base64.encodebytes(f"user:{VALUE}!".encode()).decode(),
    base64.urlsafe_b64encode(VALUE.encode()).decode(),
    quote_plus(VALUE),
    json.dumps({"password": VALUE}),
]


def follow(
    path: Path,
    masker: Masker,
    *,
    at: StreamOffset | None = None,
    redirect: Redirect | None = None,
    limit: int = NO_LIMIT,
) -> StreamFollower:
    return StreamFollower(STDOUT, path, at or StreamOffset(), redirect, StreamOptions(limit=limit, masker=masker))


def take_all(follower: StreamFollower, *, at_end: bool) -> Iterator[Chunk]:
    while chunk := follower.take(at_end=at_end):
        yield chunk


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def leaks(text: str) -> list[str]:
    """Give what of the secret can be read in a text; ten characters of a form in a row are none by chance."""
    parts = {form[begin : begin + 10] for form in map(str.strip, FORMS) for begin in (8, len(form) // 2)}
    return [part for part in parts if part in text]


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_part_of_each_form_would_be_noticed(form: int) -> None:
    assert leaks(f"x {FORMS[form]} y")


@pytest.mark.parametrize("ending", ["\n", " "], ids=["lines", "one endless line"])
def test_a_secret_is_masked_at_ten_thousand_random_borders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(output_chunks, "LONGEST_LINE_BYTES", 128)  # borders inside of lines too
    chance = random.Random(20)  # noqa: S311 - where borders lie is no secret
    path, masker = tmp_path / "out", Masker([VALUE])
    follower = follow(path, masker)
    chunks: list[Chunk] = []
    for number in range(BORDERS):
        data = f"{number} {FORMS[number % len(FORMS)]}{ending}".encode()
        border = chance.randrange(len(data) + 1)
        append(path, data[:border])
        chunks += take_all(follower, at_end=False)
        append(path, data[border:])
        chunks += take_all(follower, at_end=False)
    chunks += take_all(follower, at_end=True)
    text = "".join(shown(chunk) for chunk in chunks)
    assert leaks(text) == []
    assert text.count("*******") == BORDERS
    assert len(chunks) > BORDERS / 2


def test_a_secret_at_the_border_of_a_read_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_follower, "CHUNK_BYTES", 1000)
    path, masker = tmp_path / "out", Masker([VALUE])
    path.write_text("".join(f"{'x' * (number % 97)} {VALUE}, " for number in range(2000)))
    chunks = list(take_all(follow(path, masker), at_end=True))
    text = "".join(shown(chunk) for chunk in chunks)
    assert (leaks(text), text.count("*******")) == ([], 2000)
    assert len(chunks) > 20


def test_a_secret_larger_than_a_read_is_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_follower, "CHUNK_BYTES", 16)
    monkeypatch.setattr(output_chunks, "LONGEST_LINE_BYTES", 8)
    path, masker = tmp_path / "out", Masker([VALUE])
    path.write_text(f"a\n{VALUE}\nb\n" * 20)
    text = "".join(shown(chunk) for chunk in take_all(follow(path, masker), at_end=True))
    assert text == "a\n*******\nb\n" * 20


def test_secrets_that_hang_together_without_end_do_not_stop_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_follower, "CHUNK_BYTES", 64)
    path = tmp_path / "out"
    path.write_text("a" * 10_000)
    follower = follow(path, Masker(["aaaa", "aaaaaaa"]))
    text = "".join(shown(chunk) for chunk in take_all(follower, at_end=True))
    assert follower.pending() == 0
    assert "aaaaaaa" not in text


def test_what_may_begin_a_secret_is_kept_back_and_shown_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("one\ncorrect horse/")
    follower = follow(path, Masker([VALUE]))
    assert [shown(chunk) for chunk in take_all(follower, at_end=False)] == ["one\n"]
    assert [shown(chunk) for chunk in take_all(follower, at_end=True)] == ["correct horse/"]


def test_a_last_line_without_an_end_is_masked_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text(f"one\nthe end is {VALUE}")
    text = "".join(shown(chunk) for chunk in take_all(follow(path, Masker([VALUE])), at_end=True))
    assert text == "one\nthe end is *******"


def test_offsets_are_those_of_the_file_and_lines_those_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "out"
    first, second = f"a {VALUE} b\nc\n", "d\n"
    path.write_text(first)
    follower = follow(path, Masker([VALUE]))
    chunks = list(take_all(follower, at_end=False))
    append(path, second.encode())
    chunks += take_all(follower, at_end=True)
    assert [(chunk.byte_offset, chunk.byte_count) for chunk in chunks] == [
        (0, len(first.encode())),
        (len(first.encode()), len(second)),
    ]
    assert [(chunk.first_line, chunk.line_count) for chunk in chunks] == [(1, 2), (3, 1)]


@pytest.mark.parametrize("limit", range(3, 60))
def test_the_limit_of_a_log_does_not_cut_a_secret_open(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "out"
    path.write_text(f"one\n{VALUE}\ntwo\n")
    chunks = take_all(follow(path, Masker([VALUE]), limit=limit), at_end=True)
    text = "".join(shown(chunk) for chunk in chunks).partition("\n[dagbook")[0]
    assert "one\n*******\ntwo\n".startswith(text)


# -- redirects and take-overs ----------------------------------------------------------------------------------------


def test_a_redirect_is_masked_once_whoever_takes_over(tmp_path: Path) -> None:
    """Each server sees a piece more; what a server has copied need not be stored when the next one comes."""
    chance = random.Random(7)  # noqa: S311 - as above
    masker = Masker([VALUE])
    path, target, note = tmp_path / "out", tmp_path / "copy", tmp_path / "note"
    whole = "".join(f"{number} {VALUE}\n" for number in range(60)).encode()
    stored, begin = StreamOffset(), 0
    while begin < len(whole):
        end = begin + chance.randrange(1, 60)
        append(path, whole[begin:end])
        follower = follow(path, masker, at=stored, redirect=Redirect(target, note))
        for _ in take_all(follower, at_end=False):
            if chance.random() < 0.5:
                stored = follower.position
        follower.close()
        begin = end
    follower = follow(path, masker, at=stored, redirect=Redirect(target, note))
    list(take_all(follower, at_end=True))
    follower.close()
    assert target.read_text() == "".join(f"{number} *******\n" for number in range(60))
