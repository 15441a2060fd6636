from __future__ import annotations

import pytest

from dagbook.spec.model import Condition, ContinueOn, Repeat, Retry
from tests.pure.spec.definitions import dag_of, step_of

A, B, C = (Condition(condition=name) for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("' Failed '", ContinueOn(failure=True)),
        ("skipped", ContinueOn(skipped=True)),
        ("{failure: true, markSuccess: true, unknown: 5}", ContinueOn(failure=True, mark_success=True)),
        ("{exitCode: 3}", ContinueOn(exit_codes=(3,))),
        ("{exitCode: '3'}", ContinueOn(exit_codes=(3,))),
        ("{exitCode: [1, 2]}", ContinueOn(exit_codes=(1, 2))),
        ("{output: 're:x'}", ContinueOn(output=("re:x",))),
        ("{output: [a, b]}", ContinueOn(output=("a", "b"))),
        ("{Failure: true}", ContinueOn()),
        ("null", ContinueOn()),
    ],
)
def test_what_dependents_tolerate(text: str, expected: ContinueOn) -> None:
    assert step_of(f"{{command: x, continueOn: {text}}}").continue_on == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Retry(limit=2, interval_seconds=1)),
        ("exitCode: [1, 2.9]", Retry(limit=2, interval_seconds=1, exit_codes=(1, 2))),
        ("backoff: true", Retry(limit=2, interval_seconds=1, backoff=2.0)),
        ("backoff: false", Retry(limit=2, interval_seconds=1)),
        ("backoff: 2", Retry(limit=2, interval_seconds=1, backoff=2.0)),
        ("backoff: 1.5", Retry(limit=2, interval_seconds=1, backoff=1.5)),
        ("backoff: 0.0", Retry(limit=2, interval_seconds=1)),
        ("backoff: -3", Retry(limit=2, interval_seconds=1)),
        ("maxIntervalSec: 9", Retry(limit=2, interval_seconds=1, max_interval_seconds=9)),
        ("MaxIntervalSec: -9", Retry(limit=2, interval_seconds=1)),
    ],
)
def test_a_retry_policy(text: str, expected: Retry) -> None:
    assert step_of(f"{{command: x, retryPolicy: {{limit: 2, intervalSec: 1, {text}}}}}").retry == expected


def test_limit_and_interval_may_be_texts_for_later() -> None:
    retry = step_of("{command: x, retryPolicy: {limit: '${N}', intervalSec: '`t`'}}").retry

    assert retry == Retry(limit="${N}", interval_seconds="`t`")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repeat: true", Repeat(mode="while")),
        (
            "repeat: true, condition: a, expected: b",
            Repeat(mode="while", condition=Condition(condition="a", expected="b")),
        ),
        ("repeat: while, condition: a", Repeat(mode="while", condition=A)),
        ("repeat: until, exitCode: [0]", Repeat(mode="until", exit_codes=(0,))),
        ("condition: a, expected: b", Repeat(mode="until", condition=Condition(condition="a", expected="b"))),
        ("condition: a", Repeat(mode="while", condition=A)),
        ("exitCode: [1]", Repeat(mode="while", exit_codes=(1,))),
        ("repeat: false, exitCode: [1]", Repeat(mode="while", exit_codes=(1,))),
        ("repeat: true, intervalSec: 5, limit: 3", Repeat(mode="while", interval_seconds=5, limit=3)),
        ("repeat: true, intervalSec: -5, limit: -3", Repeat(mode="while")),
        ("repeat: true, backoff: true, maxIntervalSec: 9", Repeat(mode="while", backoff=2.0, max_interval_seconds=9)),
        ("repeat: false", None),
        ("intervalSec: 5, limit: 3", None),
        ("expected: b", None),
        ("backoff: nonsense", None),
    ],
)
def test_a_repeat_policy_has_a_mode_or_is_none(text: str, expected: Repeat | None) -> None:
    assert step_of(f"{{command: x, repeatPolicy: {{{text}}}}}").repeat == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("preconditions: a", (A,)),
        ("preconditions: ''", (Condition(condition=""),)),
        ("preconditions: [a, [b, {condition: c}], null]", (A, B, C)),
        ("preconditions: {command: a}", (A,)),
        ("preconditions: {COMMAND: b, condition: a}", (A,)),
        (
            "preconditions: {condition: a, expected: 're:x', negate: true}",
            (Condition(condition="a", expected="re:x", negate=True),),
        ),
        ("precondition: [b], preconditions: a", (A, B)),
        ("precondition: null", ()),
    ],
)
def test_preconditions_are_flattened(text: str, expected: tuple[Condition, ...]) -> None:
    assert step_of(f"{{command: x, {text}}}").preconditions == expected
    assert dag_of(f"{{{text}}}").preconditions == expected
