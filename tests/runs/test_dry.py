"""The parts of a dry run that need no definition: stand-ins, the walk of the engine, policies in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagbook.engine.event import ABORT, EXIT, SUCCESS
from dagbook.engine.status import NodeStatus, RunStatus
from dagbook.runs.dry_run import policies
from dagbook.runs.dry_run.plan import simulate
from dagbook.runs.evaluate import ShellContext
from dagbook.runs.evaluation.placeholders import Placeholders
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.expansion.expand import Mode, Variables, expand
from dagbook.spec.expansion.scope import is_credential
from dagbook.spec.model import Condition, ContinueOn, Dag, Pair, Repeat, Retry, Step
from dagbook.spec.reading.load import load
from tests.pure.spec.evaluation import evaluated

AROUND = ShellContext(shell=("/bin/sh",), env={}, cwd=Path("/"))  # noqa: S604 - no process is begun


def _dag(text: str) -> Dag:
    return load(text, name="d").require().dag


# -- stand-ins -------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=20), max_size=20))
def test_what_is_held_is_shown_again(texts: list[str]) -> None:
    held = Placeholders()
    stand_ins = [held.replace(f"`{text}`") for text in texts]
    assert held.show("-".join(stand_ins)) == "-".join(f"`{text}`" for text in texts)
    assert len(set(stand_ins)) == len(set(texts))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("text", ["'${X}'x", '"${X}"', "${X}", "a$X/b"])
def test_a_stand_in_goes_through_every_way_of_evaluation(mode: Mode, text: str) -> None:
    held = Placeholders()
    values = {"X": held.replace("`cmd`")}
    shown = evaluated(expand(text, mode=mode, variables=Variables((values,), environ=values)))
    assert held.show(shown).replace("${X}", "`cmd`").replace("$X", "`cmd`") == text.replace("${X}", "`cmd`").replace(
        "$X", "`cmd`"
    )


async def test_commands_may_hold_commands_that_came_before() -> None:
    held = Placeholders()
    first = await held.replace_command("date", AROUND)
    second = await held.replace_command(f"echo {first}", AROUND)
    assert held.show(second) == "`echo `date``"


def test_characters_that_stand_for_nothing_are_left_alone() -> None:
    held = Placeholders()
    held.replace("x")
    assert held.show("𠮷 \U000f0000") == "𠮷 \U000f0000"
    assert not held.is_in("𠮷")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *[(name, True) for name in ("DB_PASSWORD", "api_token", "MY_SECRET", "X_API_KEY", "APIKEY", "DB_PASS")],
        *[(name, False) for name in ("PATH", "COMPASS_DIR", "KEYBOARD", "AUTHOR", "PASS_COUNT")],
    ],
)
def test_names_tell_credentials(name: str, secret: bool) -> None:
    assert is_credential(name) == secret


def test_a_quiet_machine_tells_no_credential_and_runs_nothing() -> None:
    held = Placeholders()
    machine = held.without_commands(
        HostEnvironment(environ={"TOKEN": "abc", "HOME": "/h"}, home="/h", default_shell=("/bin/sh",))
    )
    assert {name: held.show(value) for name, value in machine.environ.items()} == {"TOKEN": "*******", "HOME": "/h"}
    assert machine.substitute == held.replace_command


def test_hidden_pairs_keep_their_names_and_order() -> None:
    held = Placeholders()
    pairs = held.hide_credentials((Pair("A", "1"), Pair("TOKEN", "abc")))
    assert [(pair.name, held.show(pair.value)) for pair in pairs] == [("A", "1"), ("TOKEN", "*******")]


def test_only_paths_into_the_named_outputs_are_held() -> None:
    held = Placeholders()
    value = held.replace_paths({"a": ["${OUT.x} $OUT.y ${OTHER.x} ${OUT}"]}, ["OUT"])
    assert held.show_config(value) == {"a": ["${OUT.x} $OUT.y ${OTHER.x} ${OUT}"]}
    assert "OUT.x" not in str(value).replace("OTHER.x", "")
    assert "${OTHER.x} ${OUT}" in str(value)


# -- the walk --------------------------------------------------------------------------------------------------------


def test_a_run_whose_commands_succeed_succeeds_whatever_its_policies() -> None:
    state = simulate(
        _dag("""
delaySec: 60
timeoutSec: 1
maxActiveSteps: 1
steps:
  - {name: a, command: x, retryPolicy: {limit: 3, intervalSec: 1}}
  - {name: b, command: x, repeatPolicy: {repeat: true, intervalSec: 1}}
handlerOn: {success: {command: x}, abort: {command: x}, exit: {command: x}}
"""),
        {},
    )
    assert state.status is RunStatus.SUCCEEDED
    assert [state.handlers[key].status.label for key in (SUCCESS, ABORT, EXIT)] == [
        "succeeded",
        "not_started",
        "succeeded",
    ]


def test_a_skipped_step_is_tolerated_where_the_definition_says_so() -> None:
    dag = _dag("""
type: graph
steps:
  - {name: a, command: x, preconditions: [y], continueOn: skipped}
  - {name: b, command: x, depends: a}
""")
    state = simulate(dag, {0: ("no",)})
    assert [node.status for node in state.steps] == [NodeStatus.SKIPPED, NodeStatus.SUCCEEDED]


def test_a_run_without_steps_comes_to_its_end() -> None:
    assert simulate(_dag("name: d\n"), {}).status is RunStatus.SUCCEEDED


# -- policies in words -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "said"),
    [
        (Retry(limit=2, interval_seconds=5), "up to 2 times, after 5 s each time"),
        (Retry(limit=0, interval_seconds=5), "never"),
        (Retry(limit=3, interval_seconds=1, backoff=3), "up to 3 times, after 1 s, 3 s, 9 s"),
        (
            Retry(limit=9, interval_seconds=1, backoff=2),
            "up to 9 times, after 1 s, 2 s, 4 s, 8 s, 16 s, 32 s, …",
        ),
        (
            Retry(limit=1, interval_seconds=1, exit_codes=(0, 7)),
            "once on exit code 0 or 7, after 1 s",
        ),
    ],
)
def test_retries_are_said_with_their_pauses(retry: Retry, said: str) -> None:
    step = Step(name="a", retry=retry)
    assert policies.describe_retry(step, int(retry.limit), int(retry.interval_seconds)) == said


@pytest.mark.parametrize(
    ("repeat", "said"),
    [
        (Repeat(mode="while", interval_seconds=3), "while it succeeds, every 3 s"),
        (
            Repeat(mode="until", exit_codes=(0, 1, 2), limit=4),
            "until the exit code is 0, 1 or 2, every 0 s, at most 4 executions",
        ),
        (
            Repeat(mode="until", condition=Condition(condition="$X", expected="y"), interval_seconds=1, backoff=2),
            "until $X is y, after 2 s, 4 s, 8 s, …",
        ),
        (Repeat(mode="while", condition=Condition(condition="test x", negate=True)), "while test x fails, every 0 s"),
    ],
)
def test_repetitions_are_said_with_their_pauses(repeat: Repeat, said: str) -> None:
    assert policies.describe_repeat(repeat) == said


@pytest.mark.parametrize(
    ("tolerance", "said"),
    [
        (ContinueOn(), ""),
        (ContinueOn(failure=True, skipped=True), "failure, being skipped"),
        (
            ContinueOn(exit_codes=(3,), output=("oops",), mark_success=True),
            "exit code 3, output with oops; counts as success",
        ),
    ],
)
def test_tolerance_is_said(tolerance: ContinueOn, said: str) -> None:
    assert policies.describe_continue_on(tolerance) == said
