"""Which directory a run that was stored before works in when it is begun: again, or by another process."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagbook.runs.evaluation.inputs import reevaluate_inputs
from dagbook.runs.model import RunInputs, RunLocation
from dagbook.runs.server_context import HostEnvironment
from dagbook.spec.model import Dag

SETTING = "/ours/work"
OWN = "/spool/1_2_work"


def _place(*, own: str = "", directory: str = "", source: str | None = None) -> RunLocation:
    return RunLocation(
        source_directory=source,
        default_directory=directory,
        private_directory=Path(own) if own else None,
        work_dir=Path(SETTING),
        machine=HostEnvironment(environ={"FAR": "/far"}, home="/home/me", default_shell=("/bin/sh",)),
        limit_seconds=1.0,
    )


FILED = _place(source="/flows")
ROWS = [
    # What the DAG says, what the rows say, who begins it, where it works then, and whether that stays.
    ("", RunInputs(work_dir="/theirs/work"), _place(), SETTING, True),
    ("", RunInputs(work_dir="/spool/1_1_work", keep_dir=False), _place(), SETTING, True),  # by a version before
    ("", RunInputs(work_dir="/spool/1_1_work", keep_dir=False), _place(own=OWN), OWN, False),
    ("", RunInputs(work_dir="/flows", source_directory="/flows"), FILED, "/flows", True),
    ("/data", RunInputs(work_dir="/data"), _place(own=OWN), "/data", True),
    ("~/data", RunInputs(work_dir="/home/them/data"), _place(), "/home/them/data", True),
    ("$FAR/data", RunInputs(work_dir="/near/data"), _place(), "/near/data", True),
    ("data", RunInputs(work_dir="/theirs/work/data"), _place(), f"{SETTING}/data", True),
    (
        "data",
        RunInputs(work_dir="/flows/data", source_directory="/flows"),
        _place(source="/flows"),
        "/flows/data",
        True,
    ),
    ("", RunInputs(work_dir="/callers", base_environment={}), _place(), "/callers", True),
    ("", RunInputs(work_dir="/callers", base_environment={}), _place(directory="/new"), "/new", True),
    ("/data", RunInputs(work_dir="/data", base_environment={}), _place(directory="/new"), "/data", True),
]


@pytest.mark.parametrize(("working_dir", "kept", "place", "where", "stays"), ROWS)
async def test_a_stored_run_works_where_it_did_but_for_what_follows_from_the_setting(
    working_dir: str, kept: RunInputs, place: RunLocation, where: str, stays: bool
) -> None:
    found = await reevaluate_inputs(Dag(name="flow", working_dir=working_dir), kept, place)
    assert (found.work_dir, found.keep_dir) == (where, stays)
