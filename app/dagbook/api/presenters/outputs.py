"""The collected outputs of a run (DAG format 1.30, 4). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from dagbook.api.presenters.fields import time_text
from dagbook.api.schemas.runs import OutputsMetadata, RunOutputs
from dagbook.db.repositories.runs.runs import NodeRow, RunRow
from dagbook.runs.store.run_loading import collect_outputs
from dagbook.spec.model import Dag


def run_outputs(run: RunRow, params: Sequence[str], nodes: Sequence[NodeRow], dag: Dag, zone: tzinfo) -> RunOutputs:
    """Collect the outputs of the steps of a finished run; of two with the same key the later step's counts.

    ``params`` are ``NAME=value`` each.
    """
    metadata = OutputsMetadata(
        dag_name=run.dag_name,
        dag_run_id=run.run_id,
        attempt_id=str(run.attempt),
        status=run.status.label,
        completed_at=time_text(run.finished_at, zone),
        params=msgspec.json.encode(list(params)).decode() if params else "",
    )
    return RunOutputs(metadata=metadata, outputs=collect_outputs(nodes, dag) if run.finished_at else {})
