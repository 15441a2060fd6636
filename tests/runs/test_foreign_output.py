"""Output that is not in UTF-8: followed, cut, masked and taken over like any other."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.executors.capture import read_text
from dagbook.runs.output import output_chunks, output_follower
from dagbook.runs.output.decoding import CharCursor, DecoderState, read
from dagbook.runs.output.output_chunks import read_tail
from dagbook.runs.output.output_follower import STDOUT, Chunk, Redirect, StreamFollower, StreamOffset, StreamOptions
from dagbook.runs.secrets.masking import Masker
from tests.runs.chunks import shown

TEXTS = {
    "cp932": "日本語ソース表\n能力 ｱｲｳ\n",  # the second bytes of some of these are ASCII
    "gbk": "中文输出\n第二行 abc\n",
    "gb18030": "中文 😀\n",
    "big5": "功能許可\n中文\n",
    "euc_kr": "한국어 출력\n둘째 줄\n",
    "euc_jp": "日本語\nｱｲｳ\n",
    "iso8859-1": "Größe ÿ\né\n",
    "cp1252": "„Größe“ €\n",
    "koi8-r": "Жили\nлжи\n",
    "cp037": "EBCDIC\nof old\n",
    "utf-16": "日本\u0a0a\u010a語\n😀 a\n",  # 0x0A is part of others
    "utf-16-be": "日本\u0a0a\u010a語\n😀 a\n",
    "utf-32": "日本\n😀\n",
    "utf-8-sig": "日本\nä\n",
    "iso2022_jp": "日本語 abc\n漢字\n",
    "iso2022_kr": "한국어 abc\n출력\n",
    "hz": "中文 abc\n第二\n",
}
WORDS = {encoding: text.split()[0] for encoding, text in TEXTS.items()}
MASK = "*******"


def follow(
    path: Path, encoding: str, *, at: StreamOffset | None = None, value: str = "", redirect: Redirect | None = None
) -> StreamFollower:
    terms = StreamOptions(limit=2**40, masker=Masker([value]), encoding=encoding)
    return StreamFollower(STDOUT, path, at or StreamOffset(), redirect, terms)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def take(follower: StreamFollower, *, at_end: bool = False) -> list[Chunk]:
    chunks = []
    while chunk := follower.take(at_end=at_end):
        chunks.append(chunk)
    return chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(map(shown, chunks))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.parametrize("restart", [False, True], ids=["one server", "a new server for each byte"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_characters_and_lines_that_come_byte_by_byte_are_whole(path: Path, encoding: str, restart: bool) -> None:
    text, follower = TEXTS[encoding] * 3, follow(path, encoding)
    chunks: list[Chunk] = []
    data = text.encode(encoding)
    for byte in data:
        append(path, bytes([byte]))
        chunks += take(follower)
        follower = follow(path, encoding, at=follower.position) if restart else follower
    chunks += take(follower, at_end=True)
    assert text_of(chunks) == text
    assert [chunk.line_count for chunk in chunks if chunk.line_count] == [1] * text.count("\n")
    assert sum(chunk.byte_count for chunk in chunks) == len(data)


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_line_that_does_not_end_is_cut_where_a_new_server_can_go_on(
    path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output_follower, "CHUNK_BYTES", 48)
    monkeypatch.setattr(output_chunks, "LONGEST_LINE_BYTES", 24)
    text = WORDS[encoding] * 150
    path.write_bytes(text.encode(encoding))
    chunks: list[Chunk] = []
    position = StreamOffset()
    for _ in range(5):
        follower = follow(path, encoding, at=position)
        chunks += filter(None, [follower.take(at_end=False)])
        position = follower.position
    assert [bool(chunk.byte_count) for chunk in chunks] == [True] * 5
    chunks += take(follow(path, encoding, at=position), at_end=True)
    assert text_of(chunks) == text


PIECES = st.lists(st.one_of(st.binary(max_size=12), st.text(alphabet="aß日語\n", max_size=6)), min_size=1, max_size=8)


@settings(deadline=None)
@given(encoding=st.sampled_from(sorted(TEXTS)), pieces=PIECES, restarts=st.lists(st.booleans(), max_size=8))
def test_chunks_of_any_bytes_put_together_are_the_decoded_file(
    encoding: str, pieces: list[bytes | str], restarts: list[bool]
) -> None:
    written = [piece if isinstance(piece, bytes) else piece.encode(encoding, "replace") for piece in pieces]
    chunks: list[Chunk] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "out")
        follower = follow(path, encoding)
        for piece, restart in zip(written, [*restarts, *[False] * 8], strict=False):
            append(path, piece)
            chunks += take(follower)
            follower = follow(path, encoding, at=follower.position) if restart else follower
        chunks += take(follower, at_end=True)
    whole = read(b"".join(written), DecoderState(encoding), final=True).text.replace("\0", "\ufffd")
    assert text_of(chunks) == whole
    assert sum(chunk.byte_count for chunk in chunks) == len(b"".join(written))


def test_bytes_that_are_no_character_are_replaced_and_the_rest_is_read(path: Path) -> None:
    path.write_bytes("中".encode("gbk") + b"\xff\x81\n" + "文\n".encode("gbk") + b"\x81")
    assert text_of(take(follow(path, "gbk"), at_end=True)) == "中\ufffd\ufffd\n文\n\ufffd"


def test_utf_16_without_a_mark_is_that_of_windows(path: Path) -> None:
    path.write_bytes("a日\n".encode("utf-16-le"))
    assert text_of(take(follow(path, "utf-16"), at_end=True)) == "a日\n"


@pytest.mark.parametrize(
    ("encoding", "torn"), [("utf-16", "日".encode("utf-16")), ("iso2022_jp", "日".encode("iso2022_jp")[:5])]
)
def test_each_execution_begins_to_encode_anew(path: Path, encoding: str, torn: bytes) -> None:
    append(path, torn)
    first = follow(path, encoding)
    chunks = take(first, at_end=True)
    first.reset()
    append(path, "ab\n本\n".encode(encoding)[:-2])
    chunks += take(first)
    again = follow(path, encoding, at=first.position)
    append(path, "ab\n本\n".encode(encoding)[-2:])
    chunks += take(again, at_end=True)
    assert text_of(chunks) == "日ab\n本\n"


# -- secrets ---------------------------------------------------------------------------------------------------------

SECRETS = {encoding: f"geheim{WORDS[encoding]}x{WORDS[encoding]}y" for encoding in TEXTS}


@pytest.mark.parametrize("restart", [False, True], ids=["one server", "a new server for each byte"])
@pytest.mark.parametrize("encoding", TEXTS)
def test_a_secret_is_masked_in_the_encoding_wherever_it_is_cut(path: Path, encoding: str, restart: bool) -> None:
    value = SECRETS[encoding]
    follower = follow(path, encoding, value=value)
    chunks: list[Chunk] = []
    for byte in f"a {value} b\n{value}{value}\n{value[:-1]}\n".encode(encoding):
        append(path, bytes([byte]))
        chunks += take(follower)
        follower = follow(path, encoding, value=value, at=follower.position) if restart else follower
    chunks += take(follower, at_end=True)
    assert text_of(chunks) == f"a {MASK} b\n{MASK}{MASK}\n{value[:-1]}\n"


@pytest.mark.parametrize("encoding", sorted(TEXTS.keys() - {"utf-16", "utf-16-be", "utf-32", "utf-8-sig"}))
def test_a_secret_that_is_written_as_the_variable_has_it_is_masked(path: Path, encoding: str) -> None:
    """An environment is in UTF-8: read in another encoding the value would be other characters, but no secret."""
    value = "geheimäßä日"
    follower = follow(path, encoding, value=value)
    chunks: list[Chunk] = []
    line = [WORDS[encoding].encode(encoding), value.encode(), WORDS[encoding].encode(encoding), "\n".encode(encoding)]
    for byte in b"".join(line * 2):
        append(path, bytes([byte]))
        chunks += take(follower)
    chunks += take(follower, at_end=True)
    assert text_of(chunks) == f"{WORDS[encoding]}{MASK}{WORDS[encoding]}\n" * 2


def test_a_secret_in_base64_is_masked_in_wide_characters(path: Path) -> None:
    value = "correct horse battery"
    path.write_bytes(f"x {base64.b64encode(value.encode()).decode()} y\n".encode("utf-16"))
    assert text_of(take(follow(path, "utf-16", value=value), at_end=True)).startswith(f"x {MASK}")


@pytest.mark.parametrize("encoding", TEXTS)
def test_the_end_of_a_file_is_shown_without_secrets(path: Path, encoding: str) -> None:
    value, line = SECRETS[encoding], TEXTS[encoding].splitlines()[0]
    path.write_bytes(f"{line} {value}\n".encode(encoding) + "".join(f"{line} {value}\n" * 400).encode(encoding))
    with path.open("rb") as file:
        tail = read_text(read_tail(file, encoding, Masker([value]), 1024))
    assert tail.endswith(f"\n{line} {MASK}\n{line} {MASK}\n")
    assert 1000 < len(tail.encode()) < 1030
    assert value[:6] not in tail


# -- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_redirect_has_the_bytes_as_they_were_written(path: Path, tmp_path: Path, encoding: str) -> None:
    data = TEXTS[encoding].encode(encoding) + b"\xff\xfe\x81"
    for end in range(len(data)):
        append(path, data[end : end + 1])
    redirect = Redirect(tmp_path / "copy", tmp_path / "note")
    follower = follow(path, encoding, value="nothing like this", redirect=redirect)
    take(follower, at_end=True)
    follower.close()
    assert (tmp_path / "copy").read_bytes() == data


@pytest.mark.parametrize("encoding", TEXTS)
def test_a_redirect_has_asterisks_of_its_encoding_in_place_of_secrets(
    path: Path, tmp_path: Path, encoding: str
) -> None:
    value, word = SECRETS[encoding], WORDS[encoding]
    path.write_bytes(f"{word}{value}{word}\n{word}\n{value}\n".encode(encoding))
    redirect = Redirect(tmp_path / "copy", tmp_path / "note")
    follower = follow(path, encoding, value=value, redirect=redirect)
    take(follower, at_end=True)
    follower.close()
    assert (tmp_path / "copy").read_bytes().decode(encoding) == f"{word}{MASK}{word}\n{word}\n{MASK}\n"


# -- decoding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\x1b[31mred and so on 日\n", "\x1b]0;a title\x07日\x1a\x1b[0m本\n"])
def test_escapes_that_choose_no_characters_are_kept_and_hold_nothing_up(text: str) -> None:
    """Python's decoders of ISO 2022 overlook what comes behind them, or give up."""
    data = text.encode("iso2022_jp")
    read_so_far, at, state = "", 0, DecoderState("iso2022_jp")
    for end in range(1, len(data) + 1):
        piece = read(data[at:end], state, final=end == len(data))
        read_so_far, at, state = read_so_far + piece.text, at + piece.length, piece.state
    assert read_so_far == text


def test_an_escape_that_never_ends_is_no_error() -> None:
    data = b"\x1b(" + b"a" * 40
    lengths = [read(data[:end], DecoderState("iso2022_jp")).length for end in range(len(data) + 1)]
    assert lengths[-1] > 20


@settings(deadline=None)
@given(encoding=st.sampled_from(sorted(TEXTS)), data=st.binary(max_size=60), characters=st.integers(0, 60))
def test_behind_any_number_of_characters_the_rest_can_be_read(encoding: str, data: bytes, characters: int) -> None:
    cursor = CharCursor(data, DecoderState(encoding))
    at = cursor.seek(characters)
    assert cursor.passed <= characters
    assert read(data[at:], cursor.state).text == read(data, DecoderState(encoding)).text[cursor.passed :]
