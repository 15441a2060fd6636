"""Secret values never get through, however they are written and wherever a piece of output ends (runtime 29)."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.runs.secrets.masking import Masker

Encode = Callable[[str], str]
PEM = "-----BEGIN KEY-----\nMIIEvQ+BADANBg/kqhkiG9w0BAQEF\nAASCBKcwggSjAgEAAoIBAQ==\n-----END KEY-----\n"
VALUES = ["hunter2", "p@ss/w%rd \"q\" 'x'+\\n<&>", "grün-💥-geheim", PEM, "tab\there\r\nand\x01there"]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def url_safe(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def wrapped(text: str) -> str:
    return base64.encodebytes(text.encode()).decode()


def _lower_hex(text: str) -> str:
    head, *rest = quote_plus(text).split("%")
    return head + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


ENCODINGS: dict[str, Encode] = {
    "raw": str,
    "quote": quote,
    "quote-all": lambda text: quote(text, safe=""),
    "quote-plus": quote_plus,
    "quote-lower": _lower_hex,
    "javascript": lambda text: quote(text, safe="!'()*-._~"),
    "json": lambda text: json.dumps(text)[1:-1],
    "json-unicode": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json-slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "json-html": lambda text: json.dumps(text)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
    "shell": lambda text: text.replace("'", "'\\''"),
    "shlex": shlex.quote,
    "unquoted": lambda text: text.strip().replace("\n", " "),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_value_is_masked_in_every_form(value: str, encoding: str) -> None:
    written = ENCODINGS[encoding](value.strip())
    shown = Masker([value]).mask(f"before {written} after")
    assert shown.replace("'*******'", "*******") == "before ******* after"


# Every bit of the value is covered, and at most what shares a character with it.
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encode", [b64, url_safe, wrapped], ids=["standard", "url-safe", "wrapped"])
@pytest.mark.parametrize("before", ["", "a", "ab", "user:", '{"password": "'])
@pytest.mark.parametrize("behind", ["", "z", "yz", '"}'])
def test_a_value_is_masked_inside_base64(value: str, encode: Encode, before: str, behind: str) -> None:
    value = value.strip()
    shown = Masker([value]).mask(encode(before + value + behind))
    head, stars, tail = shown.partition("*******")
    assert stars
    assert len(head.replace("\n", "")) == 8 * len(before) // 6
    assert len(tail.rstrip("=\n").replace("\n", "")) <= (8 * len(behind) + 5) // 6
    assert value not in base64.urlsafe_b64decode(head[: len(head) // 4 * 4]).decode(errors="replace")


@settings(deadline=None)
@given(value=st.text(min_size=4).filter(lambda text: len(text.strip()) > 3), before=st.binary(), behind=st.binary())
def test_no_text_around_a_value_hides_it_in_base64(value: str, before: bytes, behind: bytes) -> None:
    data = value.strip().encode("utf-8", "replace")
    written = base64.b64encode(before + data + behind)
    shown = Masker([data.decode()]).mask_bytes(written)
    assert b"*******" in shown


@pytest.mark.parametrize("value", ["", " ", "\n", " \t\n"])
def test_white_space_is_no_secret(value: str) -> None:
    masker = Masker([value])
    assert (bool(masker), masker.mask("a \n b")) == (False, "a \n b")


def test_white_space_around_a_value_stays() -> None:
    assert Masker(["hunter2\n"]).mask("is hunter2\n. or hunter2, hunter2") == "is *******\n. or *******, *******"


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("a", "a cat", "******* c*******t"),
        ("ab", "ab YWI= %61b", "******* YWI= %61b"),
        ('"', '" \\" %22', "******* \\******* %22"),
        ("abc", "abc YWJj", "******* YWJj"),
        ("abcd", "abcd YWJjZA==", "******* *******=="),
        ("ä", "ä \\u00e4", "******* \\u00e4"),
    ],
)
def test_a_very_short_value_is_only_masked_as_it_is(value: str, text: str, shown: str) -> None:
    assert Masker([value]).mask(text) == shown


def test_the_lines_of_a_value_are_masked_alone() -> None:
    numbered = "".join(f"{number}: {line}\n" for number, line in enumerate(PEM.splitlines()))
    assert Masker([PEM]).mask(numbered) == "".join(f"{number}: *******\n" for number in range(4))


def test_short_lines_of_a_value_are_not_masked_alone() -> None:
    assert Masker(["{\nhunter2+\nseven77\n}"]).mask("{}, seven77, hunter2+") == "{}, seven77, *******"


def test_a_value_of_several_lines_is_masked_as_one_where_it_is_whole() -> None:
    assert Masker([PEM]).mask(f"a {PEM} b") == "a *******\n b"


@pytest.mark.parametrize(
    ("value", "shown"), [('pass"word"', "password"), ("it's\\$me", "its$me"), ("'quoted'", "quoted")]
)
def test_a_value_that_has_lost_its_quotes_in_a_shell_is_masked(value: str, shown: str) -> None:
    assert Masker([value]).mask(f"say {shown}!") == "say *******!"


def test_what_little_is_left_of_a_value_of_quotes_is_not_masked() -> None:
    assert Masker(["\"'abc'\""]).mask("abc") == "abc"


def test_the_longer_of_two_values_counts() -> None:
    masker = Masker(["hunter", "hunter2", "2-more"])
    assert masker.mask("hunter hunter2 hunter2-more") == "******* ******* *******-more"


@pytest.mark.parametrize("value", ["aaaa", "abab", "\\\\\\\\", "%25%25", "++++"])
def test_a_value_that_repeats_itself_is_masked_quickly(value: str) -> None:
    shown = Masker([value]).mask(value * 1000 + "!")
    assert value not in shown


def test_text_that_is_no_unicode_is_left_as_it_is() -> None:
    assert Masker(["hunter2"]).mask("\udcff hunter2 \ud800") == "\udcff ******* \ud800"


def test_bytes_that_are_no_text_are_left_as_they_are() -> None:
    assert Masker(["hunter2"]).mask_bytes(b"\xff\x00hunter2\xfe") == b"\xff\x00*******\xfe"


# -- piece by piece --------------------------------------------------------------------------------------------------


def masked_in_pieces(masker: Masker, pieces: list[bytes], *, whole_lines: bool) -> bytes:
    """Mask a stream that becomes known piece by piece."""
    shown, left = b"", b""
    for piece in pieces:
        left += piece
        prefix = masker.mask_prefix(left, len(left), whole_lines=whole_lines)
        shown, left = shown + prefix.masked, left[prefix.length :]
    return shown + masker.mask_bytes(left)


# Few letters and short values, so that they meet in every way.
LETTERS = st.one_of(st.text("ab", min_size=2, max_size=4), st.text("ab/\n", min_size=3, max_size=5))
TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "ba\n", "/a", "%2F", "b\n", "\\/"]), min_size=4, max_size=16)


@settings(deadline=None)
@given(values=st.lists(LETTERS, min_size=1, max_size=4), pieces=TEXTS, whole_lines=st.booleans())
def test_where_the_pieces_of_a_stream_end_makes_no_difference(
    values: list[str], pieces: list[str], whole_lines: bool
) -> None:
    masker = Masker(values)
    written = [piece.encode() for piece in pieces]
    whole = masker.mask_bytes(b"".join(written))
    assert masked_in_pieces(masker, written, whole_lines=whole_lines) == whole


@settings(deadline=None)
@given(
    st.sampled_from(VALUES),
    st.sampled_from([*ENCODINGS.values(), b64, url_safe, wrapped]),
    st.text(max_size=8),
    st.data(),
)
def test_a_value_is_masked_wherever_the_stream_is_cut(
    value: str, encode: Encode, around: str, data: st.DataObject
) -> None:
    written = (around + encode(value) + around).encode("utf-8", "replace")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(written)), max_size=6)))
    pieces = [written[start:end] for start, end in zip([0, *cuts], [*cuts, len(written)], strict=True)]
    masker = Masker([value])
    assert masked_in_pieces(masker, pieces, whole_lines=True) == masker.mask_bytes(written)
    assert b"*******" in masker.mask_bytes(written)


def test_what_cannot_begin_a_value_is_not_kept_back() -> None:
    prefix = Masker(["hunter2", PEM]).mask_prefix(b"one\ntwo hun\nthree\n", 18)
    assert prefix.length == 18


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"one\ntwo hunt", 4),
        (b"one\ntwo hunter2", 15),
        (b"one\ntwo hunter2 h", 4),
        (b"hunt", 0),
        (b"one\n-----BEGIN KEY-----\n", 4),
        (b"one\n-----BEGIN KEY-----\nMIIE\n", 29),
    ],
)
def test_the_line_in_which_a_value_may_begin_is_kept_back(data: bytes, length: int) -> None:
    assert Masker(["hunter2", PEM]).mask_prefix(data, len(data)).length == length


def test_a_border_that_somebody_wants_is_put_before_a_value() -> None:
    masker = Masker([PEM])
    data = f"one\n{PEM}two\n".encode()
    assert masker.mask_prefix(data, data.index(b"\n-----END") + 1).length == 4


def test_a_long_line_is_kept_back_from_the_value_on() -> None:
    data = b"x" * 1000 + b"hunt"
    assert Masker(["hunter2"]).mask_prefix(data, len(data), whole_lines=False).length == 1000


# -- the end of a stream ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", range(1, 30))
def test_nothing_of_a_value_is_left_at_the_beginning_of_a_cut_text(most: int) -> None:
    shown = Masker(["hunter2"]).mask_end(b"first hunter2 and hunter2 last", most)
    assert b"hunter2" not in shown
    assert not any(shown.startswith(b"hunter2"[begin:] + b" ") for begin in range(1, 7))
