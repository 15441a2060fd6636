"""Execution of sub-runs: start the run of a called DAG, wait until it has finished, stop it (runtime 20)."""

from __future__ import annotations

import asyncio

import msgspec

from dagbook.db.database import Database
from dagbook.db.errors import Conflict
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.admission import Admission
from dagbook.errors import AppError
from dagbook.executors.calls import Result, SubRun
from dagbook.executors.contract import SetupError, StepError
from dagbook.identifiers import new_key
from dagbook.runs import trace_context
from dagbook.runs.active_runs import ActiveRuns
from dagbook.runs.evaluation.inputs import prepare_inputs
from dagbook.runs.model import OF_EVENT, ClaimedRun, RetryOptions, RunLocation, RunRequest, StartOptions
from dagbook.runs.notifications.mailer import RunMailer
from dagbook.runs.runner.calls import CallContext, CalledDag, CalledDags
from dagbook.runs.runner.preparation import RunPreparation
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.runs.server_context import ServerContext
from dagbook.runs.starting import AttemptStarter
from dagbook.runs.store import row_mapping
from dagbook.runs.store.recorder import Recorder, RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.tracing import is_traced

_TRIGGER = "subdag"


def open_runs(database: Database, recorder: Recorder, library: DefinitionCache, context: ServerContext) -> ActiveRuns:
    """Make the owner of the runs of this process. A run may start others: here its runner gets a way to the owner."""

    def start_sub_runs(caller: CallContext, called: str, callee: CalledDag | None) -> SubRunExecutor:
        return SubRunExecutor(active_runs, called_dags, caller, called, callee)

    called_dags, mailer = CalledDags(database, library, context), RunMailer(database, library, context)
    preparation = RunPreparation(database, context, mailer, called_dags, start_sub_runs, library)
    active_runs = ActiveRuns(AttemptStarter(database, recorder, library, context, preparation), mailer)
    return active_runs


class SubRunExecutor:
    """Runs and stops the sub-runs of one execution of a step."""

    def __init__(
        self,
        active_runs: ActiveRuns,
        called_dags: CalledDags,
        caller: CallContext,
        called: str,
        callee: CalledDag | None,
    ) -> None:
        self._active_runs = active_runs
        self._database = active_runs.database
        self._context = active_runs.context
        self._called_dags = called_dags
        self._caller = caller
        self._called = called
        self._callee = callee
        self._keys: dict[str, int] = {}
        self._stopped: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, request: SubRun) -> Result:
        """Start a sub-run, or resume the existing one, and return its result when it has finished; raises StepError."""
        row = await self._find(request)
        if row is None:
            try:
                key = await self._accept(request, await self._claimed_run(request))
            except (AppError, SetupError) as error:
                raise StepError(f"the called DAG {request.name!r} could not be started: {error}") from error
        elif row.attempt < request.attempt:
            key = await self._retry(request, row)
        else:
            key = row.id
        self._keys[request.id] = key
        if request.id in self._stopped:
            self.stop(request, at_once=self._stopped[request.id])
        await self._active_runs.completion.wait(key)
        return await self._result(request)

    async def _retry(self, request: SubRun, row: RunRow) -> int:
        """Start the next attempt of a sub-run, without regard to the limits of its DAG."""
        retry = RetryOptions(admission=Admission.UNLIMITED, attempt=request.attempt, directory=self._caller.directory)
        try:
            if row.file_name is not None:  # a computed name may name another DAG by now
                await self._called_dags.get_stored(row.file_name, request.name, self._caller)
            await self._active_runs.retry(row.id, retry)
        except (AppError, SetupError, DefinitionGoneError, RunRefusedError) as error:
            raise StepError(f"the called run {request.id} could not be retried: {error}") from error
        return row.id

    async def _find(self, request: SubRun) -> RunRow | None:
        root = self._caller.run.lineage_of_children.root
        return await self._database.read_inline(lambda connection: runs.get_sub_run(connection, root, request.id))

    async def _accept(self, request: SubRun, owned: ClaimedRun) -> int:
        callee = await self._find_callee()
        start = StartOptions(params=_given(request), trigger=_TRIGGER, revision=callee.revision)
        new_run = RunRequest(spec=callee.spec, base=callee.base, file_name=callee.file_name, start=start)
        try:
            await self._active_runs.accept(new_run, owned)
        except Conflict:
            row = await self._find(request)  # a server that was considered dead has just started it
            if row is None:
                raise
            return row.id
        return owned.key

    async def _find_callee(self) -> CalledDag:
        """Find the called DAG only when a run has to start: after all have started it may have been deleted."""
        if self._callee is None:
            self._callee = await self._called_dags.find(self._called, self._caller)
        return self._callee

    async def _claimed_run(self, request: SubRun) -> ClaimedRun:
        parent, callee = self._caller.run, await self._find_callee()
        dag, own = callee.definition.dag, self._context.machine.account
        # Under another account the run has the environment of a run of its own, else that of its caller.
        crosses = (callee.run_as or own) != (parent.inputs.run_as or own)
        location = RunLocation.of(
            self._context,
            source_directory=callee.source_directory,
            run_as=callee.run_as,
            environ=None if crosses else self._caller.environ,
            caller_directory=self._caller.directory,
            crosses_accounts=crosses,
        ).with_variables(parent.inputs.variables)
        inputs = await prepare_inputs(dag, _given(request), location)
        if not crosses:
            inputs = msgspec.structs.replace(
                inputs, base_environment=dict(self._caller.environ), base_sealed=parent.inputs.names_from_dotenv
            )
        key, lineage, trace = new_key(), parent.lineage_of_children.child(parent.key), self._caller.trace
        if trace is None and dag.otel is not None and is_traced(dag.otel):
            trace = trace_context.of_new_run(key, lineage.root)
        return ClaimedRun(
            key=key,
            dag_name=dag.name,
            run_id=request.id,
            definition=callee.definition,
            # The names of the trigger and the event alone: the rest is inherited, if anything is.
            inputs=msgspec.structs.replace(
                inputs,
                hidden=parent.masker.values,
                variables=trace_context.with_context(parent.inputs.variables[:OF_EVENT], trace),
            ),
            lineage=lineage,
        )

    async def _result(self, request: SubRun) -> Result:
        row = await self._find(request)
        if row is None:
            raise StepError(f"the called run {request.id} of DAG {request.name!r} was deleted")
        try:
            outputs = await self._read_outputs(row.id, row.attempt)
        except EncryptionError as error:
            raise StepError(f"the outputs of the called run {request.id} cannot be read: {error}") from error
        return Result(
            name=row.dag_name,
            run_id=request.id,
            params=row.params_text,
            outputs=outputs,
            status=row.status.label,
            error=row.error or "",
        )

    async def _read_outputs(self, key: int, attempt: int) -> dict[str, str]:
        """Read the unmasked outputs of a sub-run; if they contain secrets, the caller masks its secrets from now on."""
        encrypter = self._context.encrypter
        found = await self._database.read_inline(lambda connection: runs.get_outputs(connection, key, attempt))
        records = [row_mapping.read_record(node, encrypter) for node in found]
        if any(node.output_sealed for node in found):
            row = await self._database.read_inline(lambda connection: runs.get_complete(connection, key))
            assert row is not None  # noqa: S101 - its outputs were there
            inputs = row_mapping.read_inputs(row, encrypter)
            self._caller.add_secrets((*inputs.to_hide, *(value for known in records for value in known.hidden)))
        return {str(known.output_name): known.output_value or "" for known in records}

    def stop(self, request: SubRun, *, at_once: bool) -> None:
        """Request a sub-run to stop; one that is being started gets the request when it has started."""
        self._stopped[request.id] = at_once
        if (key := self._keys.get(request.id)) is not None:
            task = asyncio.create_task(self._request_stop(key, at_once=at_once))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _request_stop(self, key: int, *, at_once: bool) -> None:
        now = self._context.now()
        request = await self._database.write(
            lambda connection: runs.add_stop_request(connection, key, None, now, at_once=at_once)
        )
        self._active_runs.notify_stop(request)
        await self._active_runs.cancel_queued(key)


def _given(request: SubRun) -> GivenParams:
    return GivenParams(request.params, request.pairs)
