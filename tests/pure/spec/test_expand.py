from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.spec.expansion.expand import (
    ExpansionError,
    Mode,
    StepFacts,
    Variables,
    evaluate_env,
    evaluate_step_env,
    expand,
    expand_item,
)
from dagbook.spec.model import Pair
from tests.pure.spec.evaluation import driven, evaluated

VARIABLES = {"V": "a b", "J": '{"s":"q r","x":{"y":[10,20]},"n":null,"o":{"k":1.0}}', "A": "1", "B": "2"}
ENVIRON = {"HOME": "/home/me", "ZED": "zed", "E": '{"k":"from the environment"}'}
STEPS = {"st": StepFacts("/log/st.out", "/log/st.err", 123), "new": StepFacts("", "")}


def full(text: str, *maps: dict[str, str]) -> str:
    variables = Variables(maps or (VARIABLES,), environ=ENVIRON)
    return evaluated(expand(text, mode=Mode.FULL, variables=variables, home="/home/me"))


def vars_only(text: str, *maps: dict[str, str]) -> str:
    return evaluated(expand(text, mode=Mode.VARS, variables=Variables(maps or (VARIABLES,), STEPS, ENVIRON)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("'${V}'", "'${V}'"),
        ("'x ${V} y'", "'x a b y'"),
        ("'${V} x'", "'${V} x'"),
        ('"${V}" $V', '"a b" a b'),
        ("${J.x.y[1]} '${J.s}'", "20 'q r'"),
        (r"\$V", r"\a b"),
        ("$V.x", "a b.x"),
        ("${HOME} $UNSET ${UNSET:-d} $(date)", "${HOME} $UNSET ${UNSET:-d} $(date)"),
        ("`echo ${V}`", "a b"),
    ],
)
def test_in_a_command_only_known_variables_are_replaced(text: str, expected: str) -> None:
    answers = {"echo a b": "a b\n"}
    variables = Variables([VARIABLES], environ=ENVIRON)
    assert evaluated(expand(text, mode=Mode.COMMAND, variables=variables), answers) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("""'$ZED' "$ZED\"""", """'zed' "zed\""""),
        ("${NOPE:-def}", "def"),
        ("$(echo hi) $ZED", "$(echo hi) zed"),
        ("$$ZED", "ZED"),
        ("${V.x}", ""),
        ("$V and ${ZED}", "a b and zed"),
        (r"\$ZED", r"\$ZED"),
    ],
)
def test_in_full_mode_the_environment_and_shell_operators_count(text: str, expected: str) -> None:
    assert full(text) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.FULL, '"l\\"1\\"" ran x zed'),
        (Mode.COMMAND, '"l\\"1\\"" ran x ${ZED}'),
        (Mode.VARS, '"l\\"1\\"" `cmd` x ${ZED}'),
        (Mode.STRUCT, '"l"1"" ran x zed'),
    ],
)
def test_a_mode_applies_only_its_steps(mode: Mode, expected: str) -> None:
    maps = [{"L": 'l"1"', "X": "x"}]
    found = expand('"${L}" `cmd` $X ${ZED}', mode=mode, variables=Variables(maps, environ=ENVIRON))
    assert evaluated(found, {"cmd": "ran"}) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\nb", '"a\\nb"'),
        ('say "hi" \\', '"say \\"hi\\" \\\\"'),
        ("$V `x`", '"$V `x`"'),
    ],
)
def test_a_quoted_reference_becomes_a_quoted_literal(value: str, expected: str) -> None:
    assert vars_only('"${T}"', {"T": value}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"${J.s}"', '"q r"'),
        ('"${J.x}"', '"{\\"y\\":[10,20]}"'),
        ('"${st.stdout}"', '"/log/st.out"'),
        ('"${NOPE}"', '"${NOPE}"'),
        ('" ${J.s}"', '" q r"'),
    ],
)
def test_a_quoted_path_is_resolved_like_any_other(text: str, expected: str) -> None:
    assert vars_only(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'${A}'${B}", "'${A}'2"),
        ("${A}'${B}", "${A}'2"),
        ("'$A'$B", "'$A'2"),
        ("$A'", "$A'"),
    ],
)
def test_a_single_quote_protects_the_one_reference_it_touches(text: str, expected: str) -> None:
    assert vars_only(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${J.x}", '{"y":[10,20]}'),
        ("${J.o.k}", "1"),
        ("${J.n}|${J.missing}|", "||"),
        ("${J.x.y | length}", "2"),
        ('${J.["s"]}', "q r"),
        ("$J.s end", "q r end"),
        ("${J.s.t}", "${J.s.t}"),
        ("${J.a b}", "${J.a b}"),
        ("${J.x | empty}", "${J.x | empty}"),
        ("${E.k}", "from the environment"),
        ("${NOPE.k}", "${NOPE.k}"),
        ("${J[0]}", "${J[0]}"),
    ],
)
def test_a_path_reads_json_and_stays_when_it_cannot(text: str, expected: str) -> None:
    assert vars_only(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${st.stdout} ${st.stderr}", "/log/st.out /log/st.err"),
        ("${st.exitCode} ${st.exit_code}", "123 123"),
        ("${new.exitCode}", "0"),
        ("${new.stdout}", "${new.stdout}"),
        ("${st.exitCode:0:2} ${st.exitCode:2} ${st.exitCode:9}|", "12 3 |"),
        ("${st.exitCode:-1}", "${st.exitCode:-1}"),
        ("${st.exitCode:x}", "${st.exitCode:x}"),
        ("${st.nope}", "${st.nope}"),
        ("$st.stderr", "/log/st.err"),
    ],
)
def test_a_step_answers_for_its_logs_and_exit_code(text: str, expected: str) -> None:
    assert vars_only(text) == expected


@pytest.mark.parametrize("maps", [({"A": "<$B>"}, {"B": "2"}), ({"B": "2"}, {"A": "<$B>"})])
def test_a_reference_in_a_value_stays_whatever_the_order_of_the_maps(maps: tuple[dict[str, str], ...]) -> None:
    assert (vars_only("$A", *maps), full("$A", *maps)) == ("<$B>", "<$B>")


def test_a_value_is_not_replaced_again_by_its_own_map() -> None:
    assert vars_only("$A $B", {"A": "$B", "B": "$A"}) == "$B $A"


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        ("a `x` b `y z` c", ["x", "y z"], "a <x> b <y z> c"),
        ("``", [], "``"),
        ("an `open end", [], "an `open end"),
        (r"\`x\` `y`", ["y"], r"\`x\` <y>"),
        (r"`x \` y`", [r"x \` y"], r"<x \` y>"),
    ],
)
def test_commands_between_backticks_are_asked_for_from_left_to_right(
    text: str, asked: list[str], expected: str
) -> None:
    commands: list[str] = []

    def answer(command: str) -> str:
        commands.append(command)
        return f" <{command}>\n"

    assert (driven(expand(text, mode=Mode.COMMAND, variables=Variables()), answer), commands) == (expected, asked)


def test_what_a_command_prints_is_not_evaluated() -> None:
    assert evaluated(expand("`a`", mode=Mode.FULL, variables=Variables([VARIABLES])), {"a": "`b` $V"}) == "`b` $V"


def test_a_failing_command_fails_the_evaluation() -> None:
    with pytest.raises(ExpansionError, match="oops failed"):
        evaluated(expand("`oops`", mode=Mode.FULL, variables=Variables()))


HOSTILE = [
    "`id`",
    "$(id)",
    "$V",
    "${V}",
    "${J.s}",
    "'; id; '",
    '"; id; "',
    "$((1+1))",
    "~",
    "\\",
    "\\`id\\`",
    "a\nb",
    "\udc80",
]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.STRUCT])
def test_a_value_is_text_in_every_mode(mode: Mode, value: str) -> None:
    variables = Variables([{"X": value}, VARIABLES], environ=ENVIRON)
    for text in ("$X", "${X}", "a ${X} b", "x=$X;", "${X}${X}"):
        found = evaluated(expand(text, mode=mode, variables=variables, home="/home/me"))
        assert found == text.replace("${X}", value).replace("$X", value)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("text", ["${NOPE:-$X}", "${NOPE:-${X}}", "${X:-no}", "${A:+${X}}", "${X:0}"])
def test_a_value_is_text_in_the_operators_of_the_shell(text: str, value: str) -> None:
    assert full(text, {"X": value}, VARIABLES) == value


def test_a_value_is_a_pattern_in_the_operators_of_the_shell() -> None:
    assert full("${FILE%$END} ${FILE/${END}/x}", {"FILE": "a.tar.gz", "END": ".*"}) == "a.tar ax"


@pytest.mark.parametrize("value", ["`id`", "$(id)"])
def test_a_command_gets_values_as_they_are(value: str) -> None:
    commands: list[str] = []

    def run(command: str) -> str:
        commands.append(command)
        return "out"

    variables = Variables([{"X": value}])
    assert driven(expand("`cat $X` $X", mode=Mode.FULL, variables=variables), run) == f"out {value}"
    assert commands == [f"cat {value}"]


def test_the_quotes_around_a_reference_are_those_of_the_whole_text() -> None:
    """Backticks are run by Dagbook within single quotes as well, and do not divide the text for the shell."""
    text = """echo 'a `x` b' "${X}" 'c `y` d'"""
    found = expand(text, mode=Mode.COMMAND, variables=Variables([{"X": "$(id)"}]), for_shell=True)
    assert evaluated(found, {"x": "1", "y": "2"}) == """echo 'a 1 b' "\\$(id)" 'c 2 d'"""


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ("$X", "`id` $V"),
        ("a $X", '"a \\`id\\` \\$V"'),
        ("$A", "1"),
        ("a $ZED", '"a $ZED"'),
        ('"$A b"', '"1 b"'),
    ],
)
def test_an_item_of_a_command_list_becomes_one_word_in_which_values_are_text(item: str, line: str) -> None:
    variables = Variables([{"X": "`id` $V"}, VARIABLES], environ=ENVIRON)
    expected = f'"{line}"'.replace("`", "\\`").replace("$V", "\\$V") if item == "$X" else line
    assert evaluated(expand_item(item, variables))[1] == expected


def test_an_entry_of_a_dag_sees_earlier_entries() -> None:
    pairs = [Pair("BASE", "/data"), Pair("IN", "${BASE}/in"), Pair("OUT", "${LATER}${OLD}"), Pair("LATER", "x")]
    found = evaluated(evaluate_env(pairs, variables=Variables(environ=ENVIRON), home="/home/me", earlier={"OLD": "o"}))
    assert [pair.value for pair in found] == ["/data", "/data/in", "o", "x"]


def test_an_entry_of_a_step_sees_no_other_entry() -> None:
    pairs = [Pair("P", "$A"), Pair("Q", "<$P>")]
    found = evaluated(evaluate_step_env(pairs, variables=Variables([VARIABLES], environ=ENVIRON), home=""))
    assert found == (Pair("P", "1"), Pair("Q", "<>"))


def test_an_entry_of_a_step_that_fails_is_left_out() -> None:
    pairs = [Pair("P", "`bad`"), Pair("Q", "`good`")]
    assert evaluated(evaluate_step_env(pairs, variables=Variables(), home=""), {"good": "g"}) == (Pair("Q", "g"),)


def test_an_entry_of_a_dag_that_fails_fails_the_whole() -> None:
    with pytest.raises(ExpansionError, match="bad failed"):
        evaluated(evaluate_env([Pair("P", "`bad`")], variables=Variables(), home=""))


def test_values_that_multiply_each_other_are_stopped() -> None:
    pairs = [Pair("V0", "x" * 100), *(Pair(f"V{n}", f"$V{n - 1}" * 100) for n in range(1, 9))]
    with pytest.raises(ExpansionError, match="grows beyond"):
        evaluated(evaluate_env(pairs, variables=Variables(), home=""))


@given(st.text(string.printable), st.sampled_from([mode for mode in Mode if mode is not Mode.VARS]))
def test_no_text_breaks_the_evaluation(text: str, mode: Mode) -> None:
    evaluation = expand(text, mode=mode, variables=Variables([VARIABLES], environ=ENVIRON), home="/home/me")
    assert isinstance(driven(evaluation, lambda command: command), str)


@given(st.text(st.characters(exclude_characters="$`\\~", exclude_categories=["Cs"])), st.sampled_from(list(Mode)))
def test_a_text_without_anything_special_stays(text: str, mode: Mode) -> None:
    assert (
        evaluated(expand(text, mode=mode, variables=Variables([VARIABLES], environ=ENVIRON), home="/home/me")) == text
    )
