"""Variables about the newest success of a DAG, for the runs of a definition that has their names.

They are read when a run begins and stored with its ``env``, so that a retry and a server that adopts the run have the
same. A sub-run has those of the root runs of its DAG.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import run_history, runs
from dagbook.runs.store.run_loading import collect_outputs, output_key, read_definition
from dagbook.spec.model import LAST_SUCCESS, Pair
from dagbook.spec.reading.definition_cache import DefinitionCache

OUTPUTS, STARTED_AT, RUN_ID = (f"{LAST_SUCCESS}{each}" for each in ("OUTPUTS", "SUCCESS_AT", "SUCCESS_RUN_ID"))
NEVER = (Pair(OUTPUTS, "{}"), Pair(STARTED_AT, ""), Pair(RUN_ID, ""))
LONGEST_VARIABLE = 128 * 1024 - 64  # bytes: no program is started with a longer one


def read(connection: ReadConnection, library: DefinitionCache, dag_name: str) -> tuple[Pair, ...]:
    """Return the variables about the newest success of a DAG name: its collected outputs, its start, its run id.

    Secrets in outputs are masked, as they are stored.
    """
    last = run_history.find_last_success(connection, dag_name)
    if last is None:
        return NEVER
    nodes = runs.get_outputs(connection, last.id, last.attempt)
    spec, base = runs.get_spec(connection, last.definition_hash) or (None, None)
    if spec is None:  # redacted: without the keys that it gave
        outputs = {output_key(node.output_name or ""): node.output_value or "" for node in nodes}
    else:
        outputs = collect_outputs(nodes, read_definition(library, last, spec, base or "").definition.dag)
    # A retry keeps steps that the first attempt ran: what has come since that one's start is new to them.
    started_at = (last.attempt > 1 and last.first_started_at) or last.started_at or last.created_at
    return variables(outputs, started_at.astimezone(UTC).isoformat().replace("+00:00", "Z"), last.run_id)


def variables(outputs: Mapping[str, str], started_at: str, run_id: str) -> tuple[Pair, ...]:
    """Make the variables."""
    return (
        Pair(OUTPUTS, msgspec.json.encode(outputs).decode()),
        Pair(STARTED_AT, started_at),
        Pair(RUN_ID, run_id),
    )


def for_process(env: dict[str, str]) -> dict[str, str]:
    """Return the variables that a process gets, without outputs that are too long for one; texts have them."""
    is_long = len(env.get(OUTPUTS, "").encode(errors="surrogateescape")) > LONGEST_VARIABLE
    return {name: value for name, value in env.items() if name != OUTPUTS} if is_long else env
