import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.reading import rendering


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (-5, "-5"),
        (True, "true"),
        (None, ""),
        (1.5, "1.5"),
        (1.0, "1"),
        (-0.0, "-0"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (999999.0, "999999"),
        (1000000.0, "1e+06"),
        (1234567.0, "1.234567e+06"),
        (1e300, "1e+300"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
        ([1, "b", None, True], "[1 b  true]"),
        ({"b": [1.0], "a": {"c": None}}, "map[a:map[c:] b:[1]]"),
    ],
)
def test_a_yaml_value_is_rendered_as_text(value: object, expected: str) -> None:
    assert rendering.render(value) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_rendered_float_reads_as_the_same_float(value: float) -> None:
    assert float(rendering.render(value)) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a b", "a b"),
        (1000000.0, "1000000"),
        (12345678901234567890123, "12345678901234567890123"),
        (1.5, "1.5"),
        (False, "false"),
        (None, ""),
        ([1.0, None, "é"], '[1,null,"é"]'),
        ({"b": {"c": 2.0}, "a": True}, '{"b":{"c":2},"a":true}'),
    ],
)
def test_a_json_value_is_rendered_plainly(value: object, expected: str) -> None:
    assert rendering.render_json(value) == expected


@given(st.text())
def test_a_quoted_text_holds_no_bare_quote_and_no_control_character(text: str) -> None:
    quoted = rendering.quote_text(text)
    assert (quoted[0], quoted[-1]) == ('"', '"')
    assert quoted.isprintable()
    assert '"' not in quoted[1:-1].replace("\\\\", "").replace('\\"', "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('q "r" \\', '"q \\"r\\" \\\\"'),
        ("a\n\t\r\a\b\f\v", '"a\\n\\t\\r\\a\\b\\f\\v"'),
        ("\x01\x7f\u0085\u200b\U000e0001", '"\\x01\\x7f\\u0085\\u200b\\U000e0001"'),
        ("ü 語", '"ü 語"'),
    ],
)
def test_quoting_escapes_what_does_not_print(text: str, expected: str) -> None:
    assert rendering.quote_text(text) == expected


@pytest.mark.parametrize("text", ["{", "nan", "1 2", "[" * 100_000 + "]" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        rendering.parse_json(text)


def test_a_value_that_is_nested_too_deeply_is_no_internal_error() -> None:
    value = rendering.parse_json("[" * 700 + "]" * 700)
    with pytest.raises(ValueError, match="nested too deeply"):
        rendering.compact(value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_compact_json_reads_as_the_same_value(value: object) -> None:
    assert json.loads(rendering.compact(value)) == value
