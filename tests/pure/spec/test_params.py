from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dagbook.spec.model import Pair
from dagbook.spec.params import param_text
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.problem import ExpansionError
from tests.pure.spec.evaluation import evaluated


def pairs(*texts: str) -> tuple[Pair, ...]:
    return tuple(Pair(*text.split("=", 1)) for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a b c", ["1=a", "2=b", "3=c"]),
        ('K=v L="x y"', ["K=v", "L=x y"]),
        ('a K=v "b c"', ["1=a", "K=v", "3=b c"]),
        ('"q \\"r\\""', ['1=q "r\\']),
        ('P="{\\"a\\": 1}"', ['P={"a": 1}']),
        ("'a b'", ["1='a", "2=b'"]),
        ("A=1=2", ["A=1=2"]),
        ("=x", ["1==x"]),
        ("B=", ["1=B="]),
        ('A=""', ["A="]),
        ('"E=5"', ['"E=5']),
        ("D = 4", ["1=D", "2==", "3=4"]),
        ("A=1,B=2", ["A=1,B=2"]),
        ("A=1 A=2", ["A=1", "A=2"]),
        ("`echo a b` x", ["1=`echo a b`", "2=x"]),
        ("A=`x` B=`y`", ["A=`x` B=`y`"]),
        ('A="`x y`" B=z', ["A=`x y`", "B=z"]),
        ('A="abc', ["1=A=", "2=abc"]),
        ('a"b c"d', ["1=a", "2=b c", "3=d"]),
        ('x="a\\nb\\\\"', ["x=a\\nb\\\\"]),
        ('"a\nb"', ["1=a\nb"]),
    ],
)
def test_a_text_is_read_as_tokens(text: str, expected: list[str]) -> None:
    assert list(param_text.describe(param_text.tokenise(text))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' {"b": "x y", "a": 1} ', ["a=1", "b=x y"]),
        ('{"f": 1.0, "n": null, "t": true, "l": [1, {"k": "v"}]}', ["f=1", 'l=[1,{"k":"v"}]', "n=", "t=true"]),
        ('["x", {"K": "v"}, 3, ["y"]]', ["1=x", "K=v", "3=3", '4=["y"]']),
        ("{}", []),
        ("[]", []),
        ('{"a": 1', ["1={", "2=a", "3=:", "4=1"]),
        ("[a] b", ["1=[a]", "2=b"]),
    ],
)
def test_json_text_is_read_as_json(text: str, expected: list[str]) -> None:
    assert list(param_text.describe(param_text.tokenise(text))) == expected


def test_positions_can_start_later() -> None:
    assert param_text.tokenise("x K=v y", start=3) == pairs("3=x", "K=v", "5=y")


@pytest.mark.parametrize(
    "text", [" " * 1_000_000 + "a", 'a"' * 50_000, "`" * 100_000, "=" * 100_000, '\\"' * 50_000, "a=" * 50_000]
)
def test_reading_takes_time_in_proportion_to_the_text(text: str) -> None:
    assert param_text.tokenise(text)


@pytest.mark.parametrize(
    ("given_pairs", "with_positions", "without"),
    [
        (["1=a", "2=b c", "K=v"], '1="a" 2="b c" K="v"', '"a" "b c" K="v"'),
        (["A=", "2=x"], 'A="" 2="x"', 'A="" "x"'),
        (["2=x"], '2="x"', '2="x"'),
        (['Q=a"b\\\n'], 'Q="a\\"b\\\\\\n"', 'Q="a\\"b\\\\\\n"'),
    ],
)
def test_pairs_are_written_with_quotes(given_pairs: list[str], with_positions: str, without: str) -> None:
    given = pairs(*given_pairs)
    assert param_text.quote(given, positions=True) == with_positions
    assert param_text.quote(given, positions=False) == without


NAMES = st.text("ABCxyz_ü", min_size=1, max_size=5)
VALUES = st.text(st.characters(exclude_characters='"\\', exclude_categories=["C", "Z"]) | st.just(" "), max_size=20)


@given(st.dictionaries(NAMES, VALUES))
def test_written_pairs_are_read_back(values: dict[str, str]) -> None:
    given_pairs = tuple(Pair(name, value) for name, value in values.items())
    assert param_text.tokenise(param_text.quote(given_pairs, positions=True)) == given_pairs


ANY_PAIRS = st.lists(
    st.builds(
        Pair,
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.text(st.characters(exclude_categories=["Cs"])),
    )
    | st.builds(Pair, st.text("1ABx_", min_size=1, max_size=2), st.text("\\\"'`$ =\n\t[]{}:A1", max_size=12))
).map(tuple)


@given(ANY_PAIRS)
@example((Pair("A", "abc\\"), Pair("B", " BASH_ENV=$(id>F) C=injected")))
@example((Pair("1", "A=1 B=2"),))
def test_pairs_that_are_rendered_are_read_as_they_were(pairs_: tuple[Pair, ...]) -> None:
    assert param_text.tokenise(param_text.render(pairs_)) == pairs_
    given_pairs = GivenParams.of_pairs(pairs_)
    assert given_pairs.read() == pairs_
    assert given_pairs.text == param_text.quote(pairs_, positions=False)


@given(ANY_PAIRS, st.text(st.characters(exclude_categories=["Cs"])))
def test_an_item_is_read_as_its_pairs_and_so_is_its_text(pairs_: tuple[Pair, ...], text: str) -> None:
    item = GivenParams.of_item(text, pairs_)
    assert item.read() == param_text.tokenise(item.text) == pairs_


@pytest.mark.parametrize(
    ("defaults", "override", "expected"),
    [
        ("a b K=v", "x", ["1=x", "2=b", "K=v"]),
        ("a b K=v", "z K=2 q", ["1=z", "2=b", "K=2", "3=q"]),
        ("A=1 B=2", "x", ["A=1", "B=2", "1=x"]),
        ("A=1", 'A="p q" N=3', ["A=p q", "N=3"]),
        ("A=1 A=2", "A=3", ["A=3", "A=3"]),
        ("A=1", "", ["A=1"]),
    ],
)
def test_an_override_replaces_by_name_or_is_appended(defaults: str, override: str, expected: list[str]) -> None:
    merged = param_text.merge(param_text.tokenise(defaults), param_text.tokenise(override))
    assert list(param_text.describe(merged)) == expected


@pytest.mark.parametrize(
    ("defaults", "override", "expected"),
    [
        ("A=1 B=${A}2 C=$B$HOME", "", "A=1 B=12 C=12/root"),
        ("a B=$1 $2 $3", "", "1=a B=a 3=B=a 4=B=a"),
        ("A=`one`", "", "A=1"),
        ('A="{\\"k\\": 7}" B=${A.k}', "", 'A={"k": 7} B=7'),
        ("A=~/x", "", "A=/home/me/x"),
    ],
)
def test_values_are_evaluated_in_order(defaults: str, override: str, expected: str) -> None:
    answers = {"one": "1\n"}
    evaluation = param_text.evaluate(
        param_text.tokenise(defaults), param_text.tokenise(override), {"HOME": "/root"}, "/home/me"
    )
    shown = param_text.format_pairs(evaluated(evaluation, answers))
    assert shown == expected


@pytest.mark.parametrize("override", ["B=`two`", 'B="`two`"', '{"B": "`two`"}', "B=${A}", "B=$(id)", "B=~"])
@pytest.mark.parametrize("defaults", ["", "A=1", "A=1 B=2"])
def test_the_values_of_a_caller_stay_as_they_are(defaults: str, override: str) -> None:
    evaluation = param_text.evaluate(
        param_text.tokenise(defaults), param_text.tokenise(override), {"HOME": "/root"}, "/home/me"
    )
    given = param_text.tokenise(override)[0].value
    assert evaluated(evaluation)[-1] == Pair("B", given)


def test_the_values_of_a_caller_are_evaluated_on_their_own_where_that_is_wanted() -> None:
    evaluation = param_text.evaluate(pairs("A=1"), pairs("B=`two`", "C=${A}${B}"), {}, "", evaluate_override=True)
    assert param_text.format_pairs(evaluated(evaluation, {"two": "2"})) == "A=1 B=2 C=2"


def test_a_failing_command_in_a_value_fails_the_parameters() -> None:
    with pytest.raises(ExpansionError, match="bad failed"):
        evaluated(param_text.evaluate(pairs("A=`bad`"), (), {}, ""))


def test_parameters_that_multiply_each_other_are_stopped() -> None:
    text = "V0=" + "x" * 100 + "".join(f" V{n}=" + f"$V{n - 1}" * 100 for n in range(1, 9))
    with pytest.raises(ExpansionError, match="grow"):
        evaluated(param_text.evaluate(param_text.tokenise(text), (), {}, ""))


def test_the_text_of_a_status_has_no_quotes() -> None:
    assert param_text.format_pairs(pairs("1=x", "A=x y", "N=5")) == "1=x A=x y N=5"
