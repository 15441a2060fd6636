from __future__ import annotations

import pytest

from dagbook.spec.expansion.conditions import (
    ANOTHER_UNMET,
    all_messages,
    check_exit,
    check_value,
    matches,
    output_matches,
)
from dagbook.spec.model import Condition


@pytest.mark.parametrize(
    ("value", "expected", "holds"),
    [
        ("yes", "yes", True),
        ("yes", "ye", False),
        ("a\nyes\nb", "yes", True),
        ("a\r\nyes\r\n", "yes", True),
        ("yes\r", "yes", True),
        ("yes\r", "yes\r", False),
        ("yes\r\r\n", "yes\r", True),
        ("a\nb", "a\nb", False),
        ("a\n", "", False),
        ("a\n\nb", "", True),
        ("", "re:^$", True),
        ("a\n", "re:^$", False),
        ("a\n\nb", "re:^$", True),
        ("abc", "re:b", True),
        ("abc", "re:^b", False),
        ("3", "re:^[1-5]$", True),
        ("abc", "re:(", False),
        ("(", "re:(", False),
        ("x", "re:", True),
    ],
)
def test_a_value_matches_line_by_line(value: str, expected: str, holds: bool) -> None:
    assert matches(value, expected) is holds


@pytest.mark.parametrize(
    ("value", "expression", "holds"),
    [
        ("a1", r"[[:digit:]]", True),
        ("a", r"[^[:alpha:][:space:]]", False),
        ("a-z", r"^[[:alpha:]-]+\z", True),
        ("]", r"[]]", True),
        ("[", r"[[a]", True),
        ("&", r"[a&&b]", True),
        ("\u0665", r"\d", False),
        ("[:digit:]", r"\[:digit:\]", True),
    ],
)
def test_the_regular_expressions_of_the_format_are_understood(value: str, expression: str, holds: bool) -> None:
    assert matches(value, f"re:{expression}") is holds


@pytest.mark.parametrize("value", ["a" * 30_000 + "!", "aa\n" * 30_000 + "!"])
def test_an_expression_that_backtracking_would_never_finish_is_decided(value: str) -> None:
    assert matches(value, "re:^(a+)+b$") is False


def test_an_expression_too_large_for_a_value_is_an_error_and_not_an_unmet_condition() -> None:
    with pytest.raises(ValueError, match=r'the expression "re:\.\{900\}b" is too large for a text of 1000000 bytes'):
        matches("a" * 1_000_000, "re:.{900}b")


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("value", ["on", "off"])
def test_negate_inverts_the_result_of_a_value(value: str, negate: bool) -> None:
    message = check_value(Condition(condition="$MODE", expected="off", negate=negate), value)
    assert bool(message) is ((value == "off") is negate)


@pytest.mark.parametrize(
    ("exit_code", "negate", "met"), [(0, False, True), (3, False, False), (0, True, False), (3, True, True)]
)
def test_a_command_is_judged_by_its_exit_status(exit_code: int, negate: bool, met: bool) -> None:
    assert (check_exit(Condition(condition="test", negate=negate), exit_code) == "") is met


def test_the_message_names_what_was_expected_and_what_was_found() -> None:
    message = check_value(Condition(condition="$MODE", expected="on"), "off")
    assert '"on"' in message
    assert '"off"' in message


def test_the_message_names_the_exit_status() -> None:
    assert "exit status 3" in check_exit(Condition(condition="test"), 3)


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(check_value(Condition(condition="$X", expected="y"), "x" * 100_000)) < 1200


def test_met_conditions_mention_the_unmet_ones() -> None:
    assert all_messages(["", "no", ""]) == (ANOTHER_UNMET, "no", ANOTHER_UNMET)


def test_met_conditions_have_no_message() -> None:
    assert all_messages(["", ""]) == ("", "")


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["arn"], True),
        (["re:^w.*g$"], True),
        (["none"], False),
        (["re:("], False),
        (["re:(", "info"], True),
        ([], False),
    ],
)
def test_output_is_searched_line_by_line_for_any_pattern(patterns: list[str], found: bool) -> None:
    assert output_matches(iter(["info\n", "x\nwarning\n"]), patterns) is found
