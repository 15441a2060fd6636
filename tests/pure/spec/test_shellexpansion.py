from __future__ import annotations

import shutil
import string
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagbook.spec.expansion.requests import InsertedValues, Work
from dagbook.spec.expansion.shell_expansion import expand_plain, expand_shell
from dagbook.spec.expansion.substitution import Variables
from dagbook.spec.problem import ExpansionError

MAPS = ({"ZED": "zed", "EMPTY": "", "FILE": "/a/b/c.tar.gz", "1": "one"}, {"ZED": "hidden", "LOW": "low"})
ENVIRON = {"HOME": "/home/me", "N": "5"}


def shell(text: str) -> str:
    return expand_shell(text, Variables(MAPS, environ=ENVIRON), InsertedValues(), "/home/me", Work())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$ZED ${LOW} $HOME $NOPE.", "zed low /home/me ."),
        ("$ZED_X ${ZED}_X", " zed_X"),
        ("$1 $10 ${10:-x}", "one one0 x"),
        ("$$ $0 $# $? $@ $* $! $-|", "       |"),
        ("$ $+ {$} $", "$ $+ {$} $"),
        ("a \\$ZED \\\\$ZED \\q", "a \\$ZED \\\\zed \\q"),
        ("a\\\nb $ZED", "ab zed"),
        ("""'$ZED' "$ZED" {a,b} * <(x)""", """'zed' "zed" {a,b} * <(x)"""),
    ],
)
def test_names_are_expanded_as_in_a_here_document(text: str, expected: str) -> None:
    assert shell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NOPE:-d} ${NOPE-d} ${EMPTY:-d} ${EMPTY-d}|", "d d d |"),
        ("${ZED:+a} ${ZED+a} ${EMPTY:+a} ${EMPTY+a} ${NOPE+a}|", "a a  a |"),
        ("${NOPE:-${ZED}x} ${NOPE:-\"q r\"} ${NOPE:-'$ZED'}", "zedx q r $ZED"),
        ("${NOPE:-~/x} ${NOPE:-a{b} ${NOPE:-a\\}b}", "/home/me/x a{b a\\}b"),
        ('${NOPE:-"a\\"b\\q$ZED"}', 'a"b\\qzed'),
        ("${#ZED} ${#NOPE} ${#} ${##}", "3 0  0"),
        ("${ZED:1} ${ZED:1:1} ${ZED: -1} ${ZED:0:-1} ${ZED:9}|", "ed e d ze |"),
        ("${ZED:$((0+1)):1} ${ZED::2}", "e ze"),
        ("${FILE#*/} ${FILE##*/} ${FILE%.*} ${FILE%%.*}", "a/b/c.tar.gz c.tar.gz /a/b/c.tar /a/b/c"),
        ('${ZED#z} ${ZED%d} ${ZED%%\\*} ${ZED#"z"} ${ZED#x}', "ed ze zed ed zed"),
        ("${ZED/e/o} ${ZED//[dz]/Q} ${ZED/z} ${ZED/e/$LOW} ${FILE//\\//-}", "zod QeQ ed zlowd -a-b-c.tar.gz"),
        ("${ZED/?/x} ${ZED//?/x} ${ZED/*/x} ${ZED/[!z]*/x}", "xed xxx x zx"),
        ("${ZED^} ${ZED^^} ${ZED^^[e]} ${ZED^[x]}", "Zed ZED zEd zed"),
        ("${ZED,} ${NOPE,,}|", "zed |"),
        ("${ZED:?x} ${ZED=y}", "zed zed"),
    ],
)
def test_shell_operators_work(text: str, expected: str) -> None:
    assert shell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$((1 + 2 * 3)) $(((1 + 2) * 3))", "7 9"),
        ("$((N * 2)) $(($N - 7)) $((NOPE + ZED))", "10 -2 0"),
        ("$((7 / 2)) $((-7 / 2)) $((-7 % 3)) $((2 ** 3 ** 2))", "3 -3 -1 512"),
        ("$((1 < 2)) $((2 == 3)) $((1 ? 2 : 3)) $((0 ? 2 : 0 ? 3 : 4)) $((!5)) $((~0))", "1 0 2 4 0 -1"),
        ("$((1 && 0)) $((1 || 0)) $((6 & 3)) $((6 | 3)) $((6 ^ 3)) $((1 << 4 >> 1))", "0 1 2 7 5 8"),
        ("$((0x1F)) $((010))", "31 8"),
        ("$((9223372036854775807 + 1))", "-9223372036854775808"),
    ],
)
def test_arithmetic_is_that_of_a_shell(text: str, expected: str) -> None:
    assert shell(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "$(echo hi)",
        "`echo hi`",
        "${a.b}",
        "${}",
        "${ZED",
        "$((1+",
        "$((1/0))",
        "$((1 +))",
        "$((08))",
        "$((2 ** -1))",
        "$((()))",
        "$(( 1 $ 2 ))",
        "${NOPE:=x}",
        "${NOPE?}",
        "${ZED:}",
        "${ZED:2:-2}",
        "${ZED@Q}",
        "${!ZED}",
        "${NOPE:-$(echo x)}",
        "${NOPE:-'x}",
        '${NOPE:-"x}',
        "${ZED#[z-a]}",
        "$((" + "(" * 5000,
        "${NOPE:-" * 5000,
    ],
)
def test_what_no_shell_reads_without_running_anything_gets_the_plain_rule(text: str) -> None:
    assert shell(f"$HOME {text} $ZED") == expand_plain(f"$HOME {text} $ZED", ENVIRON)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$HOME ${N} $NOPE ${NOPE}|", "/home/me 5  |"),
        ("${NOPE:-d} ${a.b} ${}|", "  |"),
        ("$(echo $N) $((1+2)) `x`", "$(echo 5) $((1+2)) `x`"),
        ("$$ $1 $# a$", "   a$"),
        ("${N", "N"),
        ("~ \\$N", "~ \\5"),
    ],
)
def test_the_plain_rule_knows_the_environment_only(text: str, expected: str) -> None:
    assert expand_plain(text, ENVIRON) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("~", "/home/me"), ("~/x ~", "/home/me/x ~"), ("~you/x", "~you/x"), (" ~", " ~"), ("~/$ZED", "/home/me/zed")],
)
def test_only_a_leading_tilde_is_the_home_directory(text: str, expected: str) -> None:
    assert shell(text) == expected


def test_a_replacement_that_multiplies_is_stopped() -> None:
    with pytest.raises(ExpansionError, match="grows beyond"):
        expand_shell("${A//x/$A}", Variables([{"A": "x" * 10_000}]), InsertedValues(), "", Work())


def test_a_pattern_of_many_stars_is_no_trap() -> None:
    text = "a" * 5000
    assert expand_shell("${A%%" + "*a" * 30 + "*b}", Variables([{"A": text}]), InsertedValues(), "", Work()) == text


@pytest.mark.skipif(shutil.which("bash") is None, reason="compares with bash")
@settings(max_examples=40, deadline=None)
@given(
    value=st.text("abz.", max_size=8),
    sign=st.sampled_from(["#", "##", "%", "%%", "/", "//", "^", "^^", ",,"]),
    pattern=st.text("ab?*z", min_size=1, max_size=5),
)
def test_patterns_take_what_bash_takes(value: str, sign: str, pattern: str) -> None:
    text = f"${{V{sign}{pattern}}}"
    bash = subprocess.run(
        ["bash", "-c", f'printf %s "{text}"'], env={"V": value}, capture_output=True, text=True, check=True
    )
    assert expand_shell(text, Variables([{"V": value}]), InsertedValues(), "", Work()) == bash.stdout


ATOMS = st.sampled_from(["0", "1", "2", "7", "13", "V"])
OPERATORS = st.sampled_from(
    ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&", "|", "^", "&&", "||", "<<", ">>"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: (
        st.tuples(inner, OPERATORS, inner).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]}")
        | inner.map(lambda one: f"({one})")
        | inner.map(lambda one: f"- {one}")
        | inner.map(lambda one: f"!{one}")
    ),
    max_leaves=6,
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="compares with bash")
@settings(max_examples=40, deadline=None)
@given(EXPRESSIONS)
def test_arithmetic_gives_what_bash_gives(expression: str) -> None:
    bash = subprocess.run(
        ["bash", "-c", f"echo $(({expression}))"], env={"V": "5"}, capture_output=True, text=True, check=False
    )
    expected = bash.stdout.strip() if bash.returncode == 0 else f"$(({expression}))"
    assert expand_shell(f"$(({expression}))", Variables([{"V": "5"}]), InsertedValues(), "", Work()) == expected


@given(st.text("${}()#%/:-+'\"\\`~abA *?[]^" + string.digits, max_size=40))
def test_no_text_breaks_the_expansion(text: str) -> None:
    assert isinstance(shell(text), str)


HUGE = {
    "open braces": "$(" + "${" * 100_000,
    "arithmetic in arithmetic": "$((" * 150 + "1" + " " * 200_000 + "))" * 150,
    "open arithmetic": "$((" * 50_000,
    "references in arithmetic": "$((" + "BLANK+" * 100_000 + "1))",
}


@pytest.mark.parametrize("name", HUGE)
def test_a_long_text_is_expanded_in_time_in_proportion_to_its_length(name: str) -> None:
    variables = Variables([{"BLANK": " " * 100_000}])
    begun = time.process_time()
    expand_shell(HUGE[name], variables, InsertedValues(), "", Work())
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("text", ["${A//[a]/}", "${A#$B}", "${A/$B/}", "${NO:-$A$A}", "${A^^[b]}", "$(($BLANK 1))"])
def test_what_is_dropped_from_a_result_counts_as_work(text: str) -> None:
    variables = Variables([{"A": "a" * 100_000, "B": "b" * 100_000, "BLANK": " " * 100_000}])
    with pytest.raises(ExpansionError, match="takes too long to evaluate"):
        expand_shell(f"${{NO:+{text}}}" * 1000, variables, InsertedValues(), "", Work())


def test_arithmetic_in_arithmetic_is_calculated() -> None:
    assert shell("$(( ($((N + 1)) * 2) + ${N} ))") == "17"
