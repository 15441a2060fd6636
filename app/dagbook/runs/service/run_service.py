"""Use cases of runs: start or enqueue a stored DAG or a text, start a run again, stop one run or all of a DAG.

Behaviour: api-behaviour 3.4 and 3.6, runtime 21.6 and 21.7.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import TypeVar

import msgspec

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit, dags
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.batches import starts
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow, StopRequest
from dagbook.engine.admission import Admission
from dagbook.engine.status import RunStatus
from dagbook.errors import (
    AlreadyExistsError,
    BadRequestError,
    ForbiddenError,
    InvalidSpecError,
    MaxRunReachedError,
    NotFoundError,
    NotRunningError,
    UnavailableError,
)
from dagbook.identifiers import check_dag_name, check_directory, check_queue, check_run_id, new_key, new_run_id, shorten
from dagbook.runs import trace_context
from dagbook.runs.evaluation.inputs import prepare_again, prepare_inputs
from dagbook.runs.evaluation.param_checks import check_params
from dagbook.runs.model import (
    SCHEDULED_AT,
    ClaimedRun,
    PlannedRun,
    RunLocation,
    RunRequest,
    StartOptions,
    StopOrder,
)
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.recovery.supervisor import Supervisor
from dagbook.runs.server_context import ServerContext
from dagbook.runs.service.retry import definition_gone
from dagbook.runs.store import run_loading
from dagbook.runs.store.new_run import EVENT_SETTLED, ITEM_TAKEN, PAUSED, SLOT_TAKEN, given_params
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError, StoredRun
from dagbook.spec.model import Dag, Definition, Pair, RunConfig
from dagbook.spec.params import param_text
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.problem import Problem
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import NO_DOCUMENT, Loaded
from dagbook.spec.tracing import is_traced

T = TypeVar("T")


class SlotTakenError(Exception):
    """Another server has handled this minute of a schedule."""


class ItemTakenError(Exception):
    """An item of a batch may not begin now: another server was faster, or its batch is paused, cancelled or full."""


class EventSettledError(Exception):
    """An event of a trigger does not wait any more, or its trigger is paused: another server or a user was faster."""


class RunService:
    """Use cases that start and stop runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, context: ServerContext, supervisor: Supervisor
    ) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._supervisor = supervisor
        self._active_runs = supervisor.active_runs

    async def start_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Start a definition that is not stored and return the run's id; raises AppError."""
        return await self._start(*await self._read_text(spec, name, start))

    async def get_dag(self, file_name: str) -> DagRow:
        """Return a stored DAG to start; raises NotFoundError."""
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        return row

    async def start_stored(self, dag: DagRow, start: StartOptions) -> str:
        """Start a stored DAG, as it was read, and return the run's id; raises AppError."""
        return await self._start(*await self._read_row(dag, start))

    async def enqueue_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Enqueue a definition that is not stored and return the run's id; raises AppError."""
        return await self._enqueue(*await self._read_text(spec, name, start))

    async def enqueue_stored(self, dag: DagRow, start: StartOptions) -> str:
        """Enqueue a stored DAG, as it was read, and return the run's id; raises AppError.

        For an event of a trigger it raises EventSettledError, too.
        """
        return await self._enqueue(*await self._read_row(dag, start))

    async def plan_stored(self, dag: DagRow, start: StartOptions) -> PlannedRun:
        """Return what ``enqueue_stored`` would enqueue, with the same checks; nothing is stored. Raises AppError."""
        owned = await self._prepare(*await self._read_row(dag, start))
        params = given_params(owned.definition.dag, start.params)
        return PlannedRun(
            dag_name=owned.dag_name,
            revision=dag.revision,
            queue=owned.queue,
            priority=start.priority,
            params={pair.name: pair.value for pair in params},
            steps=[step.name for step in owned.definition.dag.steps],
        )

    async def start_scheduled(self, dag: DagRow, start: StartOptions) -> str:
        """Start the stored DAG of a row for its schedule; enqueue it for a worker, or behind runs that were made up.

        Raises SlotTakenError, and the errors of ``start_stored``.
        """
        request, loaded = await self._read_row(dag, start)
        definition, queues = loaded.definition.dag, self._context.queues
        if queues.sends_to_worker(definition.worker_selector):
            return await self._enqueue(request, loaded)
        try:
            return await self._start(request, loaded)
        except MaxRunReachedError:
            most = definition.max_active_runs
            if not queues.enabled or await self._database.read_inline(starts.is_full, definition.name, most):
                raise
        # Only runs that were made up hold the limit: a live start is not lost to them, and is the next one.
        start = msgspec.structs.replace(request.start, admission=Admission.UNLIMITED)
        return await self._enqueue(msgspec.structs.replace(request, start=start), loaded)

    async def _read_text(self, spec: str, name: str, start: StartOptions) -> tuple[RunRequest, Loaded]:
        if not spec.strip():
            raise BadRequestError("spec: is empty; give the definition to run as YAML text")
        if name:
            check_dag_name(name, "name")
        if start.source_directory:
            check_directory(start.source_directory, "sourceDirectory")
        base = self._context.read_base_config()
        loaded = await self._library.read_aside(spec, name=name, base=base)
        if not loaded.definition.dag.name and not loaded.problems:
            raise BadRequestError("name: is missing; give it in the request or as 'name:' in the definition")
        return RunRequest(spec=spec, base=base, start=start), loaded

    async def _read_row(self, row: DagRow, start: StartOptions) -> tuple[RunRequest, Loaded]:
        file_name, override, base = row.file_name, start.dag_name.strip(), self._context.read_base_config()
        spec = row.spec or ""
        loaded = await self._library.read_aside(spec, name=file_name, base=base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        check_queue(start.queue)
        if override:
            check_dag_name(override, "dagName")
            loaded = await self._library.read_aside(spec, name=file_name, override=override, base=base)
        if not start.edits:
            _check_edits(loaded.definition.dag, start)
        if start.own_queue_only:
            _check_own_queue(loaded.definition.dag, start.queue)
        if start.actor is None and self._context.has_users:
            author = await self._database.read_inline(
                lambda connection: principals.get_author(connection, file_name, row.revision)
            )
            start = msgspec.structs.replace(start, on_behalf_of=author)
        start = msgspec.structs.replace(start, source_directory=row.source_directory, revision=row.revision)
        return RunRequest(spec=spec, base=base, file_name=file_name, run_as=row.run_as, start=start), loaded

    async def _start(self, request: RunRequest, loaded: Loaded) -> str:
        owned = await self._prepare(request, loaded)
        await self._accept(self._active_runs.accept(request, owned))
        return owned.run_id

    async def _enqueue(self, request: RunRequest, loaded: Loaded) -> str:
        if not self._context.queues.enabled:
            raise BadRequestError("queues are switched off here; start the run, or set queues_enabled")
        check_queue(request.start.queue)
        start = msgspec.structs.replace(request.start, action=Action.RUN_ENQUEUE)
        request = msgspec.structs.replace(request, start=start)
        owned = await self._prepare(request, loaded)
        await self._accept(self._active_runs.starter.enqueue(request, owned))
        return owned.run_id

    async def _prepare(self, request: RunRequest, loaded: Loaded) -> ClaimedRun:
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        if loaded.empty:
            raise BadRequestError(f"spec: {NO_DOCUMENT}")
        start, definition = request.start, loaded.definition
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        for field, text in (("params", start.params.text), ("sourceDirectory", start.source_directory or "")):
            if "\0" in text:
                reason = "contains a NUL character, which cannot be passed to a process; remove it"
                raise BadRequestError(f"{field}: {reason}")
        key, dag = new_key(), definition.dag
        location = self._run_location(key, request, start.source_directory, start.run_variables)
        prepared = await prepare_inputs(dag, start.params, location)
        inputs = msgspec.structs.replace(prepared, variables=_traced(dag, start.run_variables, key, start))
        if inputs.pending and (problems := await check_params(definition, location, start.params)):
            raise BadRequestError(str(problems[0]))
        queue = start.queue or dag.queue or dag.name
        return ClaimedRun(key=key, dag_name=dag.name, run_id=run_id, definition=definition, inputs=inputs, queue=queue)

    async def _accept(self, stored: Awaitable[T]) -> T:
        try:
            return await stored
        except RunRefusedError as error:
            if error.refusal.code == SLOT_TAKEN:
                raise SlotTakenError(error.refusal.message) from error
            if error.refusal.code == EVENT_SETTLED:
                raise EventSettledError(error.refusal.message) from error
            if error.refusal.code == PAUSED:
                raise UnavailableError(error.refusal.message) from error
            if error.refusal.code == ITEM_TAKEN:
                raise ItemTakenError(error.refusal.message) from error
            kind = AlreadyExistsError if error.refusal.code == AlreadyExistsError.code else MaxRunReachedError
            raise kind(error.refusal.message) from error

    async def reschedule(self, run: RunRow, start: StartOptions) -> tuple[str, bool]:
        """Start a new run from an existing one; returns its id and whether it was queued. Raises AppError.

        Definition, params and environment are those of the existing run; dotenv files are read again.
        """
        request = msgspec.structs.replace(start, admission=Admission.RESCHEDULE, action=Action.RUN_RESCHEDULE)
        return await self.start_from_run(run, request)

    async def restart(self, run: RunRow, start: StartOptions) -> tuple[str, bool]:
        """Start a new run from a finished one, ignoring the limit of its DAG; raises AppError."""
        if not run.status.is_final:
            raise MaxRunReachedError(f"run {run.run_id!r} of DAG {run.dag_name!r} is {run.status.label}; stop it first")
        request = msgspec.structs.replace(start, admission=Admission.UNLIMITED, action=Action.RUN_RESCHEDULE)
        return await self.start_from_run(run, request)

    async def start_from_run(self, run: RunRow, start: StartOptions, *, waits: bool = False) -> tuple[str, bool]:
        """Start a new run from an existing one within the limits of ``start``, or enqueue it if it ``waits``.

        Raises AppError, SlotTakenError and ItemTakenError.
        """
        name = start.dag_name.strip()
        if name:
            check_dag_name(name, "dagName")
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        source = await self._source_of_run(run)
        name = name or run.dag_name
        loaded = await self._library.read_aside(source.spec, name=name, override=name, base=source.base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        if not start.edits:
            _check_edits(loaded.definition.dag, start)
        start = msgspec.structs.replace(start, revision=source.run.dag_revision, scheduled_at=source.run.scheduled_at)
        request = RunRequest(
            spec=source.spec,
            base=source.base,
            file_name=source.run.file_name,
            run_as=source.inputs.run_as,
            start=msgspec.structs.replace(start, reads_sealed=source.run.sealed is not None),
            evaluates=False,
        )
        key, definition = new_key(), loaded.definition
        location = self._run_location(key, request, source.inputs.source_directory, source.inputs.variables)
        inputs = await prepare_again(definition.dag, source.inputs, location)
        variables = _traced(definition.dag, inputs.variables, key, start)
        inputs = msgspec.structs.replace(inputs, variables=variables)
        queue = definition.dag.queue or name
        owned = ClaimedRun(key=key, dag_name=name, run_id=run_id, definition=definition, inputs=inputs, queue=queue)
        if waits:
            await self._accept(self._active_runs.starter.enqueue(request, owned))
            return run_id, True
        return run_id, await self._accept(self._active_runs.accept(request, owned))

    async def options_of(self, run: RunRow) -> StartOptions:
        """Return the options that a run was started with: params, decrypted, variables, scheduled time.

        Raises AppError.
        """
        source = await self._source_of_run(run)
        pending, variables = source.inputs.pending, source.inputs.variables
        is_given = pending is not None and not pending.dotenv_alone
        at = next((pair.value for pair in variables if pair.name == SCHEDULED_AT), None)
        return StartOptions(
            params=pending.given if pending and is_given else GivenParams.of_pairs(source.inputs.params),
            variables=tuple(pair for pair in variables if pair.name != SCHEDULED_AT),
            scheduled_at=None if at is None else datetime.fromisoformat(at),
            reads_sealed=source.run.sealed is not None,
        )

    async def check_params(self, definition: Definition) -> list[Problem]:
        """Check the params of a DAG against the JSON Schemas they refer to, as if the DAG were stored."""
        return await check_params(definition, RunLocation.of(self._context), GivenParams())

    async def definition_of(self, run: RunRow) -> Definition:
        """Return the definition of a run; raises AppError when its text was redacted."""
        return (await self._source_of_run(run)).loaded.definition

    async def _source_of_run(self, run: RunRow) -> StoredRun:
        try:
            return await self._database.read(
                lambda connection: run_loading.load(connection, self._library, self._context.encrypter, run.id)
            )
        except DefinitionGoneError as error:
            raise definition_gone(run) from error

    def _run_location(
        self, key: int, request: RunRequest, source_directory: str | None, variables: tuple[Pair, ...]
    ) -> RunLocation:
        location = RunLocation.of(self._context, source_directory=source_directory, run_as=request.run_as)
        location = location.with_variables(variables)
        return location if request.file_name else location.in_private_directory(RunSpool(self._context.spool, key))

    async def stop(self, dag_name: str, run_id: str, actor: Actor) -> None:
        """Request a run to stop; returns before it has finished. Raises NotFoundError or NotRunningError.

        A run that no process drives, or will drive, is ended at once.
        """
        run = await self._database.read_inline(lambda connection: runs.get(connection, dag_name, run_id))
        if run is None:
            raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(dag_name)}")
        if run.status not in (RunStatus.RUNNING, RunStatus.NOT_STARTED):
            raise NotRunningError(f"run {run_id!r} of DAG {dag_name!r} is not running, it is {run.status.label}")
        audit_action = run_action(Action.RUN_STOP, run, before={"status": run.status.label})
        order = StopOrder(actor.label, actor.entry(audit_action, self._context.now()))
        if await self._supervisor.stop_orphaned(run.id, order):
            return

        def write(connection: WriteConnection) -> StopRequest:
            request = runs.add_stop_request(connection, run.id, actor.label, order.entry.at)
            audit.add(connection, order.entry)
            return request

        self._active_runs.notify_stop(await self._database.write(write))

    async def stop_all(self, file_name: str, actor: Actor) -> list[str]:
        """Request all running runs of a stored DAG to stop; returns an error message for each failed request."""
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        errors = []
        for run_id in await self._database.read(lambda connection: runs.find_active(connection, row.dag_name)):
            try:
                await self.stop(row.dag_name, run_id, actor)
            except (NotRunningError, NotFoundError):
                continue  # it finished in the meantime
            except DatabaseUnavailable as error:
                errors.append(f"run {run_id!r} could not be stopped: {error}")
        return errors


def _traced(dag: Dag, variables: tuple[Pair, ...], key: int, start: StartOptions) -> tuple[Pair, ...]:
    """Return the variables of a new run, with the context of its trace if its definition has it traced."""
    is_first = dag.otel is not None and is_traced(dag.otel)
    context = trace_context.of_new_run(key, key, start.traceparent) if is_first else None
    return trace_context.with_context(variables, context)


def _check_edits(dag: Dag, start: StartOptions) -> None:
    """Raise ForbiddenError for a run id, or params other than the default ones, that the definition forbids."""
    forbids = dag.run_config or RunConfig()
    if forbids.disable_run_id_edit and start.run_id and start.event is None:
        raise ForbiddenError(f"dagRunId: {dag.name!r} gives its runs their ids itself (runConfig); leave it out")
    overrides = start.params.read() if forbids.disable_param_edit else ()
    if overrides and param_text.merge(dag.params, overrides) != dag.params:
        raise ForbiddenError(f"params: {dag.name!r} runs with its own params alone (runConfig); leave them out")


def _check_own_queue(dag: Dag, queue: str) -> None:
    """Raise ForbiddenError for a queue that the DAG has not by itself: its limit may be that of another DAG."""
    if queue and queue not in (dag.queue, dag.name):
        own = dag.queue or dag.name
        raise ForbiddenError(
            f"queue: your rights do not include the queue {shorten(queue)}; leave it out, for {shorten(own)}"
        )
