"""Use cases of runs: start or enqueue a stored DAG or a text, start a run again, stop one run or all of a DAG.

Behaviour: api-behaviour 3.4 and 3.6, runtime 21.6 and 21.7.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit, dags, principals
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
)
from dagbook.identifiers import check_dag_name, check_directory, check_queue, check_run_id, new_key, new_run_id, shorten
from dagbook.runs.dry_run.plan import check_params
from dagbook.runs.evaluation.inputs import prepare_again, prepare_inputs
from dagbook.runs.model import ClaimedRun, RunLocation, RunRequest, StartOptions, StopOrder
from dagbook.runs.output.spool import RunSpool
from dagbook.runs.ports import RunControl
from dagbook.runs.server_context import ServerContext
from dagbook.runs.service.retry import definition_gone
from dagbook.runs.store import run_loading
from dagbook.runs.store.new_run import SLOT_TAKEN
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError, StoredRun
from dagbook.spec.model import Dag, Definition, RunConfig
from dagbook.spec.params import param_text
from dagbook.spec.problem import Problem
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import NO_DOCUMENT, Loaded


class SlotTakenError(Exception):
    """Another server has handled this minute of a schedule."""


T = TypeVar("T")


class _Source(msgspec.Struct, frozen=True):
    """Definition text of a new run as it was read, start options and the file name of a stored DAG."""

    spec: str
    base: str
    definition: Loaded
    start: StartOptions
    file_name: str | None = None
    run_as: str | None = None


class RunService:
    """Use cases that start and stop runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, context: ServerContext, run_control: RunControl
    ) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._run_control = run_control

    async def start_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Start a definition that is not stored and return the run's id; raises AppError."""
        return await self._start(await self._source_of_text(spec, name, start))

    async def get_dag(self, file_name: str) -> DagRow:
        """Return a stored DAG to start; raises NotFoundError."""
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        return row

    async def start_stored(self, dag: DagRow, start: StartOptions) -> str:
        """Start a stored DAG, as it was read, and return the run's id; raises AppError."""
        return await self._start(await self._source_of_row(dag, start))

    async def enqueue_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Enqueue a definition that is not stored and return the run's id; raises AppError."""
        return await self._enqueue(await self._source_of_text(spec, name, start))

    async def enqueue_stored(self, dag: DagRow, start: StartOptions) -> str:
        """Enqueue a stored DAG, as it was read, and return the run's id; raises AppError."""
        return await self._enqueue(await self._source_of_row(dag, start))

    async def start_scheduled(self, dag: DagRow, start: StartOptions) -> str:
        """Start the stored DAG of a row for its schedule, or enqueue it when its worker selector needs a worker.

        Raises SlotTakenError, and the errors of ``start_stored``.
        """
        source = await self._source_of_row(dag, start)
        to_worker = self._context.queues.sends_to_worker(source.definition.definition.dag.worker_selector)
        return await (self._enqueue(source) if to_worker else self._start(source))

    async def _source_of_text(self, spec: str, name: str, start: StartOptions) -> _Source:
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
        return _Source(spec, base, loaded, start)

    async def _source_of_row(self, row: DagRow, start: StartOptions) -> _Source:
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
        return _Source(spec, base, loaded, start, file_name, row.run_as)

    async def _start(self, source: _Source) -> str:
        request, owned = await self._prepare(source)
        await self._accept(self._run_control.accept(request, owned))
        return owned.run_id

    async def _enqueue(self, source: _Source) -> str:
        if not self._context.queues.enabled:
            raise BadRequestError("queues are switched off here; start the run, or set queues_enabled")
        check_queue(source.start.queue)
        source = msgspec.structs.replace(source, start=msgspec.structs.replace(source.start, action=Action.RUN_ENQUEUE))
        request, owned = await self._prepare(source)
        await self._accept(self._run_control.enqueue(request, owned))
        return owned.run_id

    async def _prepare(self, source: _Source) -> tuple[RunRequest, ClaimedRun]:
        if source.definition.problems:
            raise InvalidSpecError(source.definition.problems)
        if source.definition.empty:
            raise BadRequestError(f"spec: {NO_DOCUMENT}")
        start, definition = source.start, source.definition.definition
        request = RunRequest(spec=source.spec, base=source.base, file_name=source.file_name, start=start)
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        for field, text in (("params", start.params.text), ("sourceDirectory", start.source_directory or "")):
            if "\0" in text:
                reason = "contains a NUL character, which cannot be passed to a process; remove it"
                raise BadRequestError(f"{field}: {reason}")
        key, dag = new_key(), definition.dag
        location = self._run_location(key, start.source_directory, source.file_name, source.run_as)
        inputs = await prepare_inputs(dag, start.params, location)
        if inputs.pending and (problems := await check_params(definition, location, start.params)):
            raise BadRequestError(str(problems[0]))
        owned = ClaimedRun(
            key=key,
            dag_name=dag.name,
            run_id=run_id,
            definition=definition,
            inputs=inputs,
            queue=start.queue or dag.queue or dag.name,
        )
        return request, owned

    async def _accept(self, stored: Awaitable[T]) -> T:
        try:
            return await stored
        except RunRefusedError as error:
            if error.refusal.code == SLOT_TAKEN:
                raise SlotTakenError(error.refusal.message) from error
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

    async def start_from_run(self, run: RunRow, start: StartOptions) -> tuple[str, bool]:
        """Start a new run from an existing one within the limits of ``start``; raises AppError and SlotTakenError."""
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
        key, dag = new_key(), loaded.definition.dag
        inputs, file_name = source.inputs, source.run.file_name
        location = self._run_location(key, inputs.source_directory, file_name, inputs.run_as)
        inputs = await prepare_again(dag, source.inputs, location)
        owned = ClaimedRun(
            key=key,
            dag_name=name,
            run_id=run_id,
            definition=loaded.definition,
            inputs=inputs,
            queue=dag.queue or name,
        )
        sealed = source.run.sealed is not None
        start = msgspec.structs.replace(start, revision=source.run.dag_revision, reads_sealed=sealed)
        request = RunRequest(
            spec=source.spec, base=source.base, file_name=source.run.file_name, start=start, evaluates=False
        )
        return run_id, await self._accept(self._run_control.accept(request, owned))

    async def check_params(self, definition: Definition) -> list[Problem]:
        """Check the params of a DAG against the JSON Schemas they refer to, as if the DAG were stored."""
        return await check_params(definition, RunLocation.of(self._context))

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
        self, key: int, source_directory: str | None, file_name: str | None, run_as: str | None
    ) -> RunLocation:
        location = RunLocation.of(self._context, source_directory=source_directory, run_as=run_as)
        return location if file_name else location.in_private_directory(RunSpool(self._context.spool, key))

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
        entry = actor.entry(audit_action, self._context.now())
        if await self._run_control.stop_left(run.id, StopOrder(actor.label, entry)):
            return
        request = await self._database.write(lambda connection: _add_stop_request(connection, run, actor.label, entry))
        self._run_control.notify_stop(request)

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


def _check_edits(dag: Dag, start: StartOptions) -> None:
    """Raise ForbiddenError for a run id, or params other than the default ones, that the definition forbids."""
    forbids = dag.run_config or RunConfig()
    if forbids.disable_run_id_edit and start.run_id:
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


def _add_stop_request(
    connection: WriteConnection, run: RunRow, actor: str | None, entry: dict[str, Any]
) -> StopRequest:
    request = runs.add_stop_request(connection, run.id, actor, entry["at"])
    audit.add(connection, entry)
    return request
