"""Names of params that are refused, and those that become variables."""

from __future__ import annotations

import pytest

from dagbook.json_values import JsonObject
from dagbook.spec.model import Call, Dag, Pair, Step
from dagbook.spec.params import names
from dagbook.spec.params.names import Undeclared
from tests.pure.spec.reserved_names import RESERVED, USUAL


def pairs(*given: str) -> tuple[Pair, ...]:
    return tuple(Pair(name, "x") for name in given)


def variables(given: tuple[Pair, ...], dag: Dag, undeclared: Undeclared) -> dict[str, str]:
    return names.variables(given, dag, undeclared, {})


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_refused_unless_the_definition_declares_it(name: str) -> None:
    assert "only a definition may give" in names.find_problem(pairs(name), Dag(name="d"), Undeclared.VARIABLES)
    assert variables(pairs(name), Dag(name="d"), Undeclared.VARIABLES) == {}
    declaring = Dag(name="d", params=pairs(name))
    assert names.find_problem(pairs(name), declaring, Undeclared.REFUSE) == ""


@pytest.mark.parametrize("name", USUAL)
def test_another_name_that_is_not_declared_is_a_variable(name: str) -> None:
    assert names.find_problem(pairs(name), Dag(name="d"), Undeclared.VARIABLES) == ""
    assert variables(pairs(name), Dag(name="d"), Undeclared.VARIABLES) == {name: "x"}


def test_a_value_that_the_caller_s_author_wrote_is_let_through_and_no_other() -> None:
    given, wrote = pairs("PATH", "PS4", "A"), {"PATH": "x", "PS4": "y", "A": "z"}
    problem = names.find_problem(given, Dag(name="d"), Undeclared.VARIABLES, of_caller=wrote)
    assert ('"PS4"' in problem, '"PATH"' in problem, '"A"' in problem) == (True, False, False)
    assert names.variables(given, Dag(name="d"), Undeclared.VARIABLES, wrote) == {"PATH": "x", "A": "x"}


def test_only_what_a_call_says_literally_is_of_its_author() -> None:
    written = (Pair("PATH", "/opt"), Pair("PS4", "${A}"), Pair("HOME", "`pwd`"), Pair("A", "a"), Pair("${B}", "b"))
    step = Step(name="s", call=Call(name="kid", pairs=written))
    assert names.of_author(step, Undeclared.VARIABLES) == {"PATH": "/opt"}
    assert names.of_author(step, Undeclared.TEXT) == {}


@pytest.mark.parametrize("name", ["1", "a.b", "a-b", "ä", "x%%", "A B"])
@pytest.mark.parametrize("undeclared", Undeclared)
def test_only_an_identifier_is_a_variable(name: str, undeclared: Undeclared) -> None:
    assert variables(pairs(name), Dag(name="d", params=pairs(name)), undeclared) == {}


def test_the_setting_decides_about_names_that_are_not_declared() -> None:
    dag, given = Dag(name="d", params=pairs("A")), pairs("A", "B")
    assert variables(given, dag, Undeclared.TEXT) == {"A": "x"}
    assert names.find_problem(given, dag, Undeclared.TEXT) == ""
    problem = names.find_problem(given, dag, Undeclared.REFUSE)
    assert '"B"' in problem
    assert 'it declares "A"' in problem


@pytest.mark.parametrize("undeclared", [Undeclared.TEXT, Undeclared.REFUSE])
def test_a_schema_declares_its_properties(undeclared: Undeclared) -> None:
    dag = Dag(name="d", params=pairs("A"), params_schema="s.json")
    schema: JsonObject = {"properties": {"PATH": {}, "B": {}}}
    assert names.find_problem(pairs("A", "B", "PATH", "C", "LD_PRELOAD"), dag, undeclared) == ""  # not read yet
    assert names.find_problem(pairs("A", "B", "PATH"), dag, undeclared, schema) == ""
    assert '"C"' in names.find_problem(pairs("A", "C"), dag, undeclared, schema)
    assert variables(pairs("A", "B", "PATH"), dag, undeclared) == dict.fromkeys(("A", "B", "PATH"), "x")


def test_a_schema_does_not_let_reserved_names_pass_that_it_does_not_list() -> None:
    dag = Dag(name="d", params_schema="s.json")
    assert '"LD_PRELOAD"' in names.find_problem(pairs("LD_PRELOAD"), dag, Undeclared.VARIABLES, {"type": "object"})


def test_a_message_names_few_names() -> None:
    problem = names.find_problem(pairs(*(f"LD_{n}" for n in range(1000))), Dag(name="d"), Undeclared.VARIABLES)
    assert "and 995 more" in problem
    assert len(problem) < 500
