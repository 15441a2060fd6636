"""Factory of runners for stored runs: retries and queued runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from dagbook.db.database import Database
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import EventRow, NodeRow
from dagbook.engine.state import RunState
from dagbook.errors import BadRequestError, InvalidSpecError
from dagbook.identifiers import shorten
from dagbook.runs.evaluation.inputs import prepare_again
from dagbook.runs.evaluation.secret_values import resolve_secrets
from dagbook.runs.model import ClaimedRun, RunLocation
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.runner.runner import Runner
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import row_mapping, run_loading
from dagbook.runs.store.new_run import CHANGED
from dagbook.runs.store.recorder import Recorder, RunRefusedError
from dagbook.runs.store.row_mapping import read_record
from dagbook.runs.store.run_loading import StoredRun, uses_run_log
from dagbook.spec.reading.definition_cache import DefinitionCache

T = TypeVar("T")
_MAX_TRIES = 5


class RunnerConstructor(Protocol):
    """Constructor of a runner with all its dependencies."""

    def __call__(self, run: ClaimedRun, state: RunState, records: dict[int, row_mapping.NodeRecord]) -> Runner:
        """Return a runner that has not been started."""


class RunnerFactory:
    """Loads stored runs and makes their runners."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        library: DefinitionCache,
        context: ServerContext,
        make_runner: RunnerConstructor,
    ) -> None:
        self.database = database
        self.recorder = recorder
        self.context = context
        self._library = library
        self._make_runner = make_runner

    async def load(self, key: int) -> StoredRun:
        """Load a run; raises InvalidSpecError if its text cannot be parsed any more, and as ``run_loading.load``."""
        found = await self.database.read_inline(
            lambda connection: run_loading.load(connection, self._library, self.context.encrypter, key)
        )
        if found.loaded.problems:
            raise InvalidSpecError(found.loaded.problems)
        return found

    async def claimed_run(
        self, found: StoredRun, *, attempt: int, token: int, last_seq: int, directory: str = ""
    ) -> tuple[ClaimedRun, str]:
        """Return the run as claimed by this server, and a problem that fails it, or "".

        Its inputs, or its dotenv files alone, are evaluated if that runs nothing; else they are pending.

        ``directory`` is the working directory of the calling step of a sub-run, if known. Raises BadRequestError if
        the dotenv files cannot be evaluated, or if a sub-run would leave the account of its caller's environment.
        """
        run, definition = found.run, found.loaded.definition
        if found.account_changed:
            raise BadRequestError(
                f"the account of DAG {shorten(run.dag_name)} was changed after this run was called; start the run that "
                "called it again"
            )
        owned = ClaimedRun(
            key=run.id,
            dag_name=run.dag_name,
            run_id=run.run_id,
            attempt=attempt,
            token=token,
            definition=definition,
            inputs=await prepare_again(definition.dag, found.inputs, self._run_location(found, attempt, directory)),
            last_seq=last_seq,
            queue=run.queue,
            lineage=found.lineage,
        )
        return await resolve_secrets(owned, self.context.machine)

    def _run_location(self, found: StoredRun, attempt: int, directory: str) -> RunLocation:
        run, inputs = found.run, found.inputs
        location = RunLocation.of(
            self.context,
            source_directory=inputs.source_directory,
            run_as=inputs.run_as,
            environ=inputs.base_environment,
            caller_directory=directory,
            crosses_accounts=run.root_id is not None and inputs.base_environment is None,
        )
        if run.file_name is not None or run.root_id is not None:
            return location
        return location.in_private_directory(RunSpool(self.context.spool, run.id, attempt))

    def runner(self, owned: ClaimedRun, state: RunState, nodes: Sequence[NodeRow]) -> Runner:
        """Make the runner; ``nodes`` are the first nodes of the attempt."""
        records = {row.position: read_record(row, self.context.encrypter) for row in nodes}
        return self._make_runner(owned, state, records)

    async def history(self, run: ClaimedRun) -> Sequence[EventRow]:
        """Return the events so far for the run's log file, which this server has to write; empty if no step uses it."""
        if not uses_run_log(run.definition.dag):
            return ()
        return await self.database.read(lambda connection: runs.get_events(connection, run.key))


async def retry_on_conflict(work: Callable[[], Awaitable[T]]) -> T:
    """Repeat work that reads a run and then writes it, up to 5 times, while the run is changed in between.

    A step status that a user edits after the read must be taken into account.
    """
    for _ in range(_MAX_TRIES - 1):
        try:
            return await work()
        except RunRefusedError as error:
            if error.refusal.code != CHANGED:
                raise
    return await work()
