"""Whether a run may be started, or tried again, now (api-behaviour 3.4, runtime 21.3)."""

from __future__ import annotations

import msgspec
import pytest

from dagbook.db.repositories.runs.run_writes import Activity, FinishedRun, NewAttempt, NewRun
from dagbook.engine.admission import Admission, Pause
from dagbook.runs.store.new_run import CHANGED, PAUSED, as_queued, check_retry, check_start, must_wait
from tests.runs.scene import again, new_run, now


def _run(*, most: int, admission: Admission = Admission.START) -> NewRun:
    return msgspec.structs.replace(new_run("etl"), max_active_runs=most, admission=admission)


@pytest.mark.parametrize(
    ("most", "singleton", "used", "live", "queued", "code"),
    [
        (1, False, False, 0, 0, None),
        (1, False, False, 1, 0, "max_run_reached"),
        (1, False, False, 0, 1, "max_run_reached"),
        (1, False, True, 0, 0, "already_exists"),
        (1, False, True, 1, 0, "already_exists"),  # the used id is told first
        (2, False, False, 1, 0, None),
        (2, False, False, 1, 1, "max_run_reached"),
        (2, False, False, 0, 2, "max_run_reached"),
        (2, True, False, 1, 0, "max_run_reached"),
        (2, True, False, 0, 1, None),
        (-1, False, False, 99, 99, None),
        (-1, True, False, 1, 0, "max_run_reached"),
        (-1, True, False, 0, 9, None),
        (-1, False, True, 0, 0, "already_exists"),
        (0, False, False, 5, 0, None),
    ],
)
def test_a_run_is_refused_for_its_id_for_a_live_one_or_for_the_limit(
    most: int, singleton: bool, used: bool, live: int, queued: int, code: str | None
) -> None:
    run = _run(most=most, admission=Admission.SINGLETON if singleton else Admission.START)
    refusal = check_start(run, used, Activity(dag_active=live, dag_queued=queued))
    assert (refusal.code if refusal else None) == code
    assert refusal is None or "etl" in refusal.message


@pytest.mark.parametrize(
    ("most", "shared", "used", "live", "queued", "code"),
    [
        (1, False, False, 9, 9, None),
        (2, False, False, 9, 9, None),
        (2, True, False, 1, 0, None),
        (2, True, False, 1, 1, "max_run_reached"),
        (2, True, False, 0, 2, "max_run_reached"),
        (-1, True, False, 9, 9, None),
        (1, False, True, 0, 0, "already_exists"),
    ],
)
def test_waiting_is_refused_for_its_id_or_where_the_limit_counts_for_waiting_too(
    most: int, shared: bool, used: bool, live: int, queued: int, code: str | None
) -> None:
    run = msgspec.structs.replace(
        _run(most=most), entry=as_queued(new_run("etl")).entry, queue="shared" if shared else "etl"
    )
    refusal = check_start(run, used, Activity(dag_active=live, dag_queued=queued))
    assert (refusal.code if refusal else None) == code
    if code == "max_run_reached":
        assert refusal is not None
        assert refusal.message.endswith(f"its limit of {most} runs: it has {live} active and {queued} queued")


@pytest.mark.parametrize(
    ("room", "crowd", "may_wait", "crowded", "refused"),
    [
        (0, 9, True, False, False),
        (2, 1, False, False, False),
        (2, 2, True, True, False),
        (2, 2, False, True, True),
        (2, 3, False, True, True),
    ],
)
def test_a_start_that_finds_its_queue_full_waits_there_or_is_refused(
    room: int, crowd: int, may_wait: bool, crowded: bool, refused: bool
) -> None:
    run = _run(most=5, admission=Admission.START if may_wait else Admission.SINGLETON)
    run = msgspec.structs.replace(run, queue="shared", queue_limit=room)
    activity = Activity(queue_active=crowd)
    assert must_wait(run, activity) is crowded
    refusal = check_start(run, used=False, activity=activity)
    assert (refusal is not None) is refused
    assert refusal is None or (refusal.code == "max_run_reached" and "'shared'" in refusal.message)


def _again(*, most: int, admission: Admission = Admission.START) -> NewAttempt:
    return msgspec.structs.replace(again(_run(most=most), 7, previous=2), admission=admission)


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        (FinishedRun(2, 7), None),
        (None, "max_run_reached"),  # it is not over
        (FinishedRun(3, 7), "max_run_reached"),  # somebody else has tried it again, and that is over too
        (FinishedRun(2, 8), CHANGED),
        (FinishedRun(3, 8), "max_run_reached"),
    ],
)
def test_a_run_is_tried_again_as_it_was_read_or_not_at_all(standing: FinishedRun | None, code: str | None) -> None:
    for admission in (Admission.START, Admission.UNLIMITED):
        refusal = check_retry(_again(most=1, admission=admission), standing, Activity())
        assert (refusal.code if refusal else None) == code


@pytest.mark.parametrize(
    ("most", "counted", "live", "queued", "refused"),
    [
        (1, True, 0, 0, False),
        (1, True, 1, 0, True),
        (1, True, 0, 1, True),
        (3, True, 1, 1, False),
        (3, True, 1, 2, True),
        (-1, True, 9, 9, False),
        (0, True, 9, 9, False),
        (1, False, 9, 9, False),
    ],
)
def test_other_active_runs_count_unless_the_run_is_a_sub_run(
    most: int, counted: bool, live: int, queued: int, refused: bool
) -> None:
    activity = Activity(dag_active=live, dag_queued=queued)
    attempt = _again(most=most, admission=Admission.START if counted else Admission.UNLIMITED)
    refusal = check_retry(attempt, FinishedRun(2, 7), activity)
    assert (refusal is not None) == refused


PAUSE = Pause(now(), "ann", "move of the database", everything=True)
SENTENCE = "everything is paused by ann: move of the database"


@pytest.mark.parametrize(
    ("admission", "queues_enabled", "live", "room", "blocked", "code"),
    [
        (Admission.START, True, 0, 0, False, None),  # it waits
        (Admission.RESCHEDULE, True, 0, 0, False, None),
        (Admission.UNLIMITED, True, 9, 0, False, None),
        (Admission.SINGLETON, True, 0, 0, False, PAUSED),
        (Admission.SINGLETON, True, 0, 3, True, PAUSED),  # what waits there waits for the end of the pause
        (Admission.START, False, 0, 0, False, PAUSED),
        (Admission.START, True, 5, 0, False, "max_run_reached"),
        (Admission.SINGLETON, True, 1, 0, False, "max_run_reached"),
    ],
)
def test_while_everything_is_paused_a_start_waits_or_is_refused_with_the_sentence(
    admission: Admission, queues_enabled: bool, live: int, room: int, blocked: bool, code: str | None
) -> None:
    run = msgspec.structs.replace(
        _run(most=5, admission=admission), queues_enabled=queues_enabled, queue_limit=room, queue="shared"
    )
    activity = Activity(dag_active=live, queue_blocked=blocked, pause=PAUSE)
    assert must_wait(run, activity)
    refusal = check_start(run, used=False, activity=activity)
    assert (refusal.code if refusal else None) == code
    assert refusal is None or refusal.message.endswith(SENTENCE)
    assert refusal is None or (refusal.message == SENTENCE) is (code == PAUSED)


def test_a_start_despite_the_pause_is_as_without_one_but_never_waits() -> None:
    run = msgspec.structs.replace(_run(most=5), despite_pause=True, queue="shared", queue_limit=2)
    assert not must_wait(run, Activity(pause=PAUSE))
    assert check_start(run, used=False, activity=Activity(pause=PAUSE)) is None
    full = check_start(run, used=False, activity=Activity(pause=PAUSE, queue_active=2))
    assert full is not None
    assert full.message.startswith("queue 'shared' has 2 active runs")
    for_worker = check_start(as_queued(run), used=False, activity=Activity(pause=PAUSE))
    assert for_worker is not None
    assert (for_worker.code, for_worker.message.startswith("a run for a worker waits")) == (PAUSED, True)


def test_a_retry_waits_during_a_pause_and_the_next_attempt_of_a_sub_run_does_not() -> None:
    run = new_run("etl")
    root, sub_run = again(run, 1), again(run, 1, admission=Admission.UNLIMITED)
    assert (root.is_root, sub_run.is_root) == (True, False)
    assert must_wait(root, Activity(pause=PAUSE))
    assert check_retry(root, FinishedRun(1, 1), Activity(pause=PAUSE)) is None
