"""When a run may be taken over, and what can be known of its steps then (house design section 7, recovery)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dagbook.db.repositories.runs.runs import OpenAttempt
from dagbook.runs.model import AttemptOrigin, SpoolMatch
from dagbook.runs.output.spool_identity import open_spool
from dagbook.runs.recovery.ownership import loss_of, origin_of
from dagbook.unix import proc
from tests.runs.scene import IDENTITY, now

NOW = now()
ME = msgspec.structs.replace(IDENTITY, spool_id="my-spool", spool_dir="/nowhere/spool")
OWN = proc.identify(os.getpid())
assert OWN is not None
LIVING = {"owner_pid": OWN.pid, "owner_pid_started": OWN.started}
DEAD = {"owner_pid": OWN.pid, "owner_pid_started": OWN.started + 1}
OTHER_SPOOL = {"owner_spool_id": "another", "owner_spool_dir": "/nowhere/spool"}
AFAR = {"owner_host": "elsewhere", "owner_boot_id": "another-boot", **OTHER_SPOOL, **DEAD}
NAMESPACE = {"owner_pid_namespace": "2", **DEAD}
CONTAINER = {**NAMESPACE, **OTHER_SPOOL}


def _ago(seconds: float) -> Any:
    return NOW - timedelta(seconds=seconds)


EXPIRED = {"lease_until": _ago(1)}
STOPPED = {"stopped_at": _ago(1), "lease_until": _ago(-900)}


def _attempt(**values: Any) -> OpenAttempt:
    usual: dict[str, Any] = {
        "run": 1,
        "number": 1,
        "token": 1,
        "opened_at": _ago(60),
        "owner": "other",
        "owner_host": ME.host,
        "owner_boot_id": ME.boot_id,
        "owner_pid_namespace": ME.pid_namespace,
        "owner_spool_id": ME.spool_id,
        "owner_spool_dir": ME.spool_dir,
        "lease_until": _ago(-5),
        "stopped_at": None,
        **LIVING,
    }
    return OpenAttempt(**usual | values)


def _judge(values: dict[str, Any], *, sole: bool = False, labels: dict[str, str] | None = None) -> str:
    me = msgspec.structs.replace(ME, labels=labels)
    loss = loss_of(_attempt(**values), me, NOW, timedelta(seconds=180), sole=sole)
    return "owned" if loss is None else "lost if silent" if loss.if_silent else "lost"


POD = {**CONTAINER, **STOPPED, "owner_host": "new"}


@pytest.mark.parametrize(
    ("values", "judged"),
    [
        pytest.param({}, "owned", id="alive"),
        pytest.param({"lease_until": _ago(3600)}, "owned", id="alive-and-slow"),
        pytest.param(DEAD, "lost", id="dead"),
        pytest.param({**LIVING, "stopped_at": _ago(1)}, "lost", id="about-to-end"),
        pytest.param({"owner": None, "owner_pid": None}, "lost", id="no-owner"),
        pytest.param({"owner": ME.id}, "lost", id="mine-and-not-driven"),
        pytest.param({"owner": ME.id, "opened_at": _ago(2)}, "owned", id="mine-and-accepted-just-now"),
        pytest.param({"owner_host": "renamed", **DEAD}, "lost", id="machine-renamed"),
        pytest.param({**DEAD, **OTHER_SPOOL}, "lost", id="home-replaced"),
        pytest.param({**DEAD, "owner_spool_id": None}, "lost", id="older-version"),
        pytest.param(AFAR, "owned", id="away"),
        pytest.param({**AFAR, "lease_until": _ago(170)}, "owned", id="away-and-silent"),
        pytest.param({**AFAR, "lease_until": _ago(190)}, "lost", id="away-and-silent-for-long"),
        pytest.param({**AFAR, **STOPPED}, "owned", id="away-and-stopped"),
        pytest.param({"owner_boot_id": "another-boot"}, "owned", id="machine-of-my-name"),
        pytest.param({"owner_boot_id": "another-boot", **EXPIRED}, "lost", id="restarted"),
        pytest.param({"owner_boot_id": "another-boot", **STOPPED}, "lost", id="stopped-and-restarted"),
        pytest.param(NAMESPACE, "owned", id="namespace"),
        pytest.param({**NAMESPACE, **STOPPED}, "lost if silent", id="namespace-and-stopped"),
        pytest.param({**NAMESPACE, **EXPIRED}, "lost", id="namespace-and-expired"),
        pytest.param({**NAMESPACE, **STOPPED, "owner_host": "new"}, "lost if silent", id="namespace-renamed"),
        pytest.param({**CONTAINER, "lease_until": _ago(-5)}, "owned", id="container"),
        pytest.param({**CONTAINER, **EXPIRED}, "lost", id="container-replaced"),
        pytest.param({**CONTAINER, **EXPIRED, "owner_host": "new"}, "owned", id="container-of-another-name"),
        pytest.param({**CONTAINER, **STOPPED}, "owned", id="container-stopped"),
        pytest.param({**CONTAINER, **STOPPED, "stopped_at": _ago(190)}, "lost", id="container-stopped-long-ago"),
        pytest.param({**CONTAINER, "lease_until": _ago(190), "owner_host": "new"}, "lost", id="pod-of-another-name"),
        pytest.param({**POD, "stopped_at": _ago(170)}, "owned", id="pod-stopped"),
        pytest.param({**POD, "stopped_at": _ago(190)}, "lost", id="pod-stopped-long-ago"),
        pytest.param({**AFAR, **STOPPED, "stopped_at": _ago(190)}, "owned", id="steps-may-go-on-there"),
    ],
)
def test_a_run_may_be_taken_over_once_its_owner_cannot_be_driving_it(values: dict[str, Any], judged: str) -> None:
    assert _judge(values) == judged


@pytest.mark.parametrize("values", [{}, AFAR, NAMESPACE, CONTAINER, {"owner_boot_id": "another-boot"}], ids=range(5))
def test_who_has_a_database_file_alone_knows_that_every_other_owner_has_stopped(values: dict[str, Any]) -> None:
    assert _judge(values, sole=True) == "lost"


def test_a_dead_server_with_a_home_of_its_own_is_given_the_time_to_come_back(tmp_path: Path) -> None:
    home = {"owner_spool_id": open_spool(tmp_path), "owner_spool_dir": str(tmp_path)}
    assert _judge({**DEAD, **home}) == "owned"
    assert _judge({**DEAD, **home, "lease_until": _ago(190)}) == "lost"


GPU = {"gpu": "true"}


@pytest.mark.parametrize(
    ("labels", "values", "judged"),
    [
        (GPU, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, "lost"),
        (GPU | {"zone": "a"}, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, "lost"),
        (GPU, {**AFAR, "lease_until": _ago(999), "owner_labels": GPU | {"zone": "a"}}, "owned"),
        (GPU, {**AFAR, "lease_until": _ago(999)}, "owned"),  # a server drove it
        (GPU, {"owner": None, "owner_pid": None}, "owned"),
        (GPU, DEAD, "lost"),
        (None, {**AFAR, "lease_until": _ago(190), "owner_labels": GPU}, "owned"),  # a worker may be about to take it
        (None, {**AFAR, "lease_until": _ago(200), "owner_labels": GPU}, "lost"),
    ],
    ids=range(8),
)
def test_what_a_lost_worker_drove_elsewhere_is_for_a_worker_with_all_its_labels_first(
    labels: dict[str, str] | None, values: dict[str, Any], judged: str
) -> None:
    assert _judge(values, labels=labels) == judged


def test_a_number_that_was_given_out_again_is_not_the_owner() -> None:
    assert _judge({"owner_pid_started": None}) == "lost"


LOST = "the machine that ran the step is lost"


@pytest.mark.parametrize(
    ("values", "origin"),
    [
        ({}, AttemptOrigin()),
        ({"owner": None, "owner_host": None, "owner_boot_id": None, "owner_pid_namespace": None}, AttemptOrigin()),
        ({"owner_host": "renamed"}, AttemptOrigin()),
        (OTHER_SPOOL, AttemptOrigin(spool=SpoolMatch.OTHER)),
        ({"owner_spool_id": None}, AttemptOrigin(spool=SpoolMatch.UNKNOWN)),
        (NAMESPACE, AttemptOrigin(other_namespace=True)),
        (
            {"owner_boot_id": "another-boot"},
            AttemptOrigin(processes_gone="the machine was restarted while the step ran"),
        ),
        (AFAR, AttemptOrigin(spool=SpoolMatch.OTHER, processes_gone=LOST)),
        ({**CONTAINER, "owner_host": "pod-1"}, AttemptOrigin(spool=SpoolMatch.OTHER, processes_gone=LOST)),
    ],
    ids=range(9),
)
def test_what_can_be_known_of_steps_depends_on_where_they_began(values: dict[str, Any], origin: AttemptOrigin) -> None:
    assert origin_of(_attempt(**values), ME) == origin
