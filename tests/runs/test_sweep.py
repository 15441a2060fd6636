"""When a run may be taken over (house design section 7, recovery)."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from app.db.repositories.runs import OpenAttempt
from app.executors import proc
from app.runs.sweep import lost_reason
from tests.runs.scene import IDENTITY, now

NOW = now()
OWN = proc.identify(os.getpid())
assert OWN is not None
LIVING = {"owner_pid": OWN.pid, "owner_pid_started": OWN.started}
DEAD = {"owner_pid": OWN.pid, "owner_pid_started": OWN.started + 1}
AFAR = {"owner_host": "elsewhere", **DEAD}
CONTAINER = {"owner_pid_namespace": "2", **DEAD}


def _ago(seconds: float) -> Any:
    return NOW - timedelta(seconds=seconds)


def _attempt(**values: Any) -> OpenAttempt:
    usual: dict[str, Any] = {
        "run": 1,
        "number": 1,
        "token": 1,
        "opened_at": _ago(60),
        "owner": "other",
        "owner_host": IDENTITY.host,
        "owner_boot_id": IDENTITY.boot_id,
        "owner_pid_namespace": IDENTITY.pid_namespace,
        "lease_until": _ago(-5),
        "stopped_at": None,
        **LIVING,
    }
    return OpenAttempt(**usual | values)


@pytest.mark.parametrize(
    ("values", "lost"),
    [
        ({}, False),
        ({"lease_until": _ago(3600)}, False),  # it lives and may only be slow
        (DEAD, True),
        ({**LIVING, "stopped_at": _ago(1)}, True),  # it has let go and is about to end
        ({"owner": None, "owner_pid": None}, True),
        ({"owner_boot_id": "another-boot"}, True),
        (AFAR, False),
        ({**AFAR, "lease_until": _ago(170)}, False),
        ({**AFAR, "lease_until": _ago(190)}, True),
        ({**AFAR, "lease_until": None}, True),
        ({**AFAR, "owner_boot_id": "another-boot"}, False),
        (CONTAINER, False),
        ({**CONTAINER, "lease_until": _ago(1)}, True),
        ({"owner": IDENTITY.id}, True),
        ({"owner": IDENTITY.id, "opened_at": _ago(2)}, False),  # accepted just now, its driver is about to begin
    ],
    ids=range(15),
)
def test_a_run_may_be_taken_over_once_nobody_can_be_driving_it(values: dict[str, Any], lost: bool) -> None:
    reason = lost_reason(_attempt(**values), IDENTITY, NOW, timedelta(seconds=180))
    assert (reason is not None) == lost


GPU = {"gpu": "true"}


@pytest.mark.parametrize(
    ("labels", "values", "lost"),
    [
        (GPU, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, True),
        (GPU | {"zone": "a"}, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, True),
        (GPU, {**AFAR, "lease_until": _ago(999), "owner_labels": GPU | {"zone": "a"}}, False),
        (GPU, {**AFAR, "lease_until": _ago(999)}, False),  # a server drove it
        (GPU, {"owner": None, "owner_pid": None}, False),
        (GPU, DEAD, True),
        (None, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, False),  # a worker may be about to take it
        (None, {**AFAR, "lease_until": _ago(200), "owner_labels": GPU}, True),
    ],
    ids=range(8),
)
def test_what_a_lost_worker_drove_elsewhere_is_for_a_worker_with_all_its_labels_first(
    labels: dict[str, str] | None, values: dict[str, Any], lost: bool
) -> None:
    me = msgspec.structs.replace(IDENTITY, labels=labels)
    reason = lost_reason(_attempt(**values), me, NOW, timedelta(seconds=180))
    assert (reason is not None) == lost


def test_a_number_that_was_given_out_again_is_not_the_owner() -> None:
    attempt = msgspec.structs.replace(_attempt(), owner_pid_started=None)
    assert lost_reason(attempt, IDENTITY, NOW, timedelta()) is not None
