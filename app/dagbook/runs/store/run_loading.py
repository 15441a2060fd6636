"""Loading of stored runs, for adoption, retries and queued starts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dagbook.db.database import ReadConnection
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import AttemptRow, CompleteRun, NodeRow, RunRow
from dagbook.engine.state import RunState
from dagbook.runs.secrets.encryption import Encrypter
from dagbook.runs.store import row_mapping, secret_columns
from dagbook.runs.store.claimed_run import RunInputs, RunLineage
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import Loaded


class DefinitionGoneError(Exception):
    """The definition of a run was redacted."""


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a run with its nodes, definition and inputs."""

    run: CompleteRun
    spec: str
    base: str
    attempt: AttemptRow
    nodes: Sequence[NodeRow]
    loaded: Loaded
    inputs: RunInputs
    last_seq: int
    lineage: RunLineage | None = None

    @property
    def state(self) -> RunState:
        """The engine state, as far as it is stored."""
        return row_mapping.run_state(self.run, self.attempt, self.nodes)


def load(
    connection: ReadConnection, library: DefinitionCache, encrypter: Encrypter, key: int, number: int | None = None
) -> StoredRun:
    """Load an attempt of a run, by default the newest; raises DefinitionGoneError and EncryptionError."""
    run = runs.get_complete(connection, key)
    attempt = runs.get_attempt(connection, key, number or run.attempt) if run is not None else None
    spec = runs.get_spec(connection, run.definition_hash) if run is not None else None
    if run is None or attempt is None or spec is None or spec[0] is None:
        raise DefinitionGoneError("its definition was redacted or deleted")
    lineage = None
    if run.root_id is not None:
        lineage = RunLineage(root=run.root_id, parent=run.parent_id, level=runs.get_level(connection, run.id))
    return StoredRun(
        run=run,
        spec=spec[0],
        base=spec[1] or "",
        attempt=attempt,
        nodes=runs.get_nodes(connection, key, attempt.number),
        loaded=read_definition(library, run, spec[0], spec[1] or ""),
        inputs=secret_columns.read_inputs(run, encrypter),
        last_seq=runs.last_seq(connection, key),
        lineage=lineage,
    )


def read_definition(library: DefinitionCache, run: RunRow, spec: str, base: str) -> Loaded:
    """Parse the definition of a run; for a sub-run, the called document of the text."""
    if run.root_id is not None:
        return library.get_called(spec, run.dag_name, base=base)
    return library.read(spec, override=run.dag_name, base=base)
