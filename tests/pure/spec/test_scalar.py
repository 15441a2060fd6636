from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.reading.scalars import TAG_PREFIX, resolve_plain, resolve_tagged

PLAIN = [
    *((text, True) for text in ("true", "True", "TRUE")),
    *((text, False) for text in ("false", "False", "FALSE")),
    *((text, text) for text in ("yes", "no", "on", "off", "y", "n", "tRue")),
    *((text, None) for text in ("null", "Null", "NULL", "~", "")),
    *(("5", 5), ("+5", 5), ("-5", -5), ("1_000", 1000), ("1__0", 10), ("1_", 1), ("0", 0)),
    *(("010", 8), ("0o10", 8), ("0x1F", 31), ("0xfff_f", 65535), ("0b11", 3), ("-0x1F", -31), ("-010", -8)),
    *(("00", 0), ("-0", 0), ("0x_1", 1)),
    *(
        (text, text)
        for text in ("08", "0o9", "0xZZ", "_1", "0B11", "0X1f", "0b", "0x", "0x_", "0o_", "-", "+", ".", "-.")
    ),
    *(("1.5", 1.5), ("1_0.5", 10.5), (".5", 0.5), ("+.5", 0.5), ("1.", 1.0), ("1.0e3", 1000.0), ("1.e3", 1000.0)),
    *(("-.5", -0.5), ("1.5e+3", 1500.0), ("1._5", 1.5)),
    *((".inf", math.inf), ("-.inf", -math.inf), (".Inf", math.inf), ("+.INF", math.inf)),
    *((text, text) for text in ("1e3", "1e+3", "123e4", "1e-5", "1.0e400", "1.2.3")),
    *(("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63))),
    *((text, text) for text in ("18446744073709551616", "-9223372036854775809", "9" * 5000)),
    *((text, text) for text in ("2024-01-02", "2024-01-02T03:04:05Z", "12:30:45", "1,000", "plain text")),
]


@pytest.mark.parametrize(("text", "value"), PLAIN)
def test_a_plain_scalar_follows_the_core_rules_of_the_format(text: str, value: object) -> None:
    resolved = resolve_plain(text)

    assert (resolved, type(resolved)) == (value, type(value))


def test_not_a_number_is_a_float() -> None:
    resolved = resolve_plain(".nan")

    assert isinstance(resolved, float)
    assert math.isnan(resolved)


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("str", "123", "123"),
        ("int", "5", 5),
        ("float", "5", 5.0),
        ("bool", "true", True),
        ("null", "~", None),
        ("timestamp", "2024-01-02", "2024-01-02"),
    ],
)
def test_an_explicit_tag_is_honoured(tag: str, text: str, value: object) -> None:
    assert resolve_tagged(TAG_PREFIX + tag, text) == value


def test_the_bare_tag_makes_a_text() -> None:
    assert resolve_tagged("!", "5") == "5"


@pytest.mark.parametrize(
    "tag", [f"{TAG_PREFIX}int", f"{TAG_PREFIX}python/name:os.system", f"{TAG_PREFIX}binary", "!mine"]
)
def test_a_tag_that_is_unknown_or_does_not_fit_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        resolve_tagged(tag, "text")


@given(st.integers(-(2**63), 2**64 - 1))
def test_every_64_bit_integer_reads_back(number: int) -> None:
    assert resolve_plain(str(number)) == number


@given(st.text(alphabet="0123456789abcdefxo_+-.eE:~", max_size=12))
def test_any_text_like_a_number_resolves(text: str) -> None:
    assert isinstance(resolve_plain(text), str | int | float | None)
