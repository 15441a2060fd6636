"""The checker of histories: which answers about one run some order of the requests explains."""

from __future__ import annotations

import random

import pytest

from tests.chaos.run_model import Operation, Phase, State, UndecidedError, apply, describe, explain, reachable


def in_sequence(*answers: str) -> list[Operation]:
    """Make requests, each after the answer to the one before: ``kind answer``."""
    pairs = [words.split() for words in answers]
    return [Operation(kind, answer, number, number + 0.5) for number, (kind, answer) in enumerate(pairs)]


POSSIBLE = {
    "a whole life": [
        "read not_found",
        "enqueue ok",
        "read queued",
        "start already_exists",
        "read running",
        "read waiting",
        "retry max_run_reached",
        "approve ok",
        "approve bad_request",
        "read succeeded",
        "stop not_running",
    ],
    "a stop and a retry that asks again": [
        "start ok",
        "read waiting",
        "stop ok",
        "stop ok",
        "read aborted",
        "retry ok",
        "read waiting",
        "settled waiting",
    ],
    "an approval that a retry keeps": [
        "start ok",
        "approve ok",
        "stop ok",
        "read aborted",
        "retry ok",
        "settled succeeded",
    ],
    "an approval that the stop before it has overtaken": [
        "start ok",
        "read waiting",
        "stop ok",
        "approve ok",
        "read aborted",
        "retry ok",
        "approve ok",
    ],
    "a run that ends before the stop that it was asked for": [
        "start ok",
        "approve ok",
        "stop ok",
        "settled succeeded",
    ],
    "an id that is used again after it was removed": [
        "enqueue ok",
        "dequeue ok",
        "dequeue not_found",
        "start ok",
        "dequeue bad_request",
    ],
}
IMPOSSIBLE = {
    "a lost run": ["start ok", "read not_found"],
    "a run that was started twice": ["start ok", "enqueue ok"],
    "a removed run that is there": ["enqueue ok", "dequeue ok", "read queued"],
    "a run that was removed and runs": ["enqueue ok", "dequeue ok", "read running"],
    "a step that ran without approval": ["start ok", "read succeeded"],
    "a refused approval": ["start ok", "read waiting", "approve bad_request"],
    "two approvals": ["start ok", "approve ok", "approve ok"],
    "a stop that was lost": ["start ok", "read waiting", "stop ok", "settled waiting"],
    "an abort that was not asked for": ["start ok", "settled aborted"],
    "a run that runs again by itself": ["start ok", "approve ok", "read succeeded", "read running"],
    "a retry of a run that had not finished": ["start ok", "read waiting", "retry ok"],
    "an error of the server": ["start internal_error"],
    "a failure": ["start ok", "read failed"],
}


@pytest.mark.parametrize("answers", POSSIBLE.values(), ids=POSSIBLE)
def test_possible_histories_are_explained(answers: list[str]) -> None:
    history = in_sequence(*answers)
    assert explain(history) == history


@pytest.mark.parametrize("answers", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_histories_are_not_explained(answers: list[str]) -> None:
    assert explain(in_sequence(*answers)) is None
    assert explain(in_sequence(*answers[:-1])) is not None, "only the last answer is to be wrong"


def test_overlapping_requests_take_effect_in_any_order() -> None:
    removed = Operation("dequeue", "not_found", 0, 3)
    started = Operation("enqueue", "ok", 1, 4)
    also = Operation("dequeue", "ok", 2, 5)
    assert explain([started, also, removed]) == [removed, started, also]


def test_a_request_takes_effect_within_its_own_time_only() -> None:
    started = Operation("start", "ok", 0, 1)
    late = Operation("read", "not_found", 1.5, 2)
    assert explain([started, late]) is None
    assert explain([started, late._replace(begin=0.5)]) is not None


def test_only_one_of_overlapping_starts_has_success() -> None:
    starts = [Operation("start", "ok", 0, 5), Operation("start", "ok", 1, 4)]
    assert explain(starts) is None
    assert explain([starts[0], starts[1]._replace(answer="already_exists")]) is not None


@pytest.mark.parametrize(("seen", "possible"), [("not_found", True), ("running", True), ("succeeded", False)])
def test_a_request_without_an_answer_may_have_taken_effect_or_not(seen: str, *, possible: bool) -> None:
    history = [Operation("start", "", 0), Operation("read", seen, 5, 6)]
    assert (explain(history) is not None) is possible


def test_a_request_without_an_answer_takes_effect_once() -> None:
    history = [Operation("enqueue", "", 0), *in_sequence("dequeue ok", "read not_found", "read queued")]
    assert explain(history[:3]) is not None
    assert explain(history) is None


def test_the_search_is_bounded() -> None:
    reads = [Operation("read", "not_found", 0, 100) for _ in range(30)]
    with pytest.raises(UndecidedError):
        explain([*reads, Operation("read", "failed", 0, 100)], most_visits=100)


@pytest.mark.parametrize("seed", range(40))
def test_histories_of_the_model_itself_are_explained_and_planted_violations_are_not(seed: int) -> None:
    """Requests take effect one after the other, and are then stretched over each other."""
    chance = random.Random(seed)
    kinds = {
        "start": ["ok", "already_exists"],
        "enqueue": ["ok", "already_exists"],
        "stop": ["ok", "not_running", "not_found"],
        "dequeue": ["ok", "bad_request", "not_found"],
        "retry": ["ok", "max_run_reached", "not_found"],
        "approve": ["ok", "bad_request", "not_found"],
        "read": ["not_found", "queued", "running", "waiting", "succeeded", "aborted"],
    }
    state, history = State(), []
    for number in range(40):
        state = chance.choice(sorted(reachable(frozenset({state}))))
        kind = chance.choice(sorted(kinds))
        answer, state = chance.choice([(one, new) for one in kinds[kind] for new in apply(state, kind, one)])
        history.append(Operation(kind, answer, number - chance.uniform(0, 3), number + chance.uniform(0, 3)))
    assert explain(history) is not None
    # The witness of a violation comes after everything else: a run that is absent is not there a moment later.
    is_absent = state.phase is Phase.ABSENT
    planted = Operation("read", "running" if is_absent else "not_found", 100, 101)
    assert explain([*history, planted]) is None


def test_a_history_is_described_in_the_order_of_its_begins() -> None:
    history = [Operation("read", "queued", 101.5, 102), Operation("enqueue", "", 101)]
    assert describe(history) == "enqueue → no answer (0.000 to inf); read → queued (0.500 to 1.000)"
