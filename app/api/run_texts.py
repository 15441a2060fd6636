"""Runs of lists as finished text, which blocks of runs are made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

import msgspec
from msgspec import UnsetType

from app.api.present import listed_run
from app.api.schemas.runs import DAGRuns, DAGRunSummary
from app.db.repositories.run_blocks import Written

# Counts up with every change to what lists show of a run that is over: what was written before is then written anew.
_VERSION = 1
Cursor = str | UnsetType
_encode = msgspec.json.Encoder().encode


def form_of(zone: tzinfo) -> str:
    """Name the form of the texts of a server in this time zone."""
    return f"{_VERSION} {zone}"


def write_runs(runs: Sequence[Sequence[Any]], zone: tzinfo) -> list[bytes]:
    """Write runs, given by the values of ``Listed``, as the contract's lists show them, one text for each."""
    return [_encode(listed_run(run, zone)) for run in runs]


def write_list(shown: Sequence[DAGRunSummary], written: Sequence[tuple[int, Written]], cursor: Cursor) -> bytes:
    """Write the body of a list: runs, those of blocks each time before so many of the others, and where it goes on."""
    texts: list[bytes] = []
    done = 0
    for place, runs in written:
        texts += [*map(_encode, shown[done:place]), runs.items]
        done = place
    texts += map(_encode, shown[done:])
    head, _, tail = _encode(DAGRuns(dag_runs=[], next_cursor=cursor)).partition(b"]")
    texts[0] = head + texts[0]
    texts[-1] += b"]" + tail
    return b",".join(texts)
