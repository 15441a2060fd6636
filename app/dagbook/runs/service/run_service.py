"""Use cases of runs: start or enqueue a stored DAG or a text, start what a run worked from; stop one run or all.

Behaviour: api-behaviour 3.4 and 3.6, runtime 21.6 and 21.7.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import msgspec

from dagbook.auth.audit_context import Action, Actor, run_action
from dagbook.db.database import Database, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import audit, dags
from dagbook.db.repositories.rows import Row
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import StopRequest
from dagbook.engine.status import RunStatus
from dagbook.errors import (
    AlreadyExistsError,
    BadRequestError,
    InvalidSpecError,
    MaxRunReachedError,
    NotFoundError,
    NotRunningError,
)
from dagbook.identifiers import check_dag_name, check_directory, check_queue, check_run_id, new_key, new_run_id, shorten
from dagbook.runs.dry_run.param_check import check_params
from dagbook.runs.evaluation.inputs import RunLocation, evaluate_inputs, reevaluate_inputs
from dagbook.runs.options import RunRequest, StartOptions
from dagbook.runs.output.spool_paths import RunSpool
from dagbook.runs.ports import RunControl
from dagbook.runs.server_context import ServerContext
from dagbook.runs.service.rerun_service import definition_gone
from dagbook.runs.store import run_loading
from dagbook.runs.store.admission_checks import SLOT_TAKEN, Refusal
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError, StoredRun
from dagbook.spec.model import Definition
from dagbook.spec.problem import Problem
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import NO_DOCUMENT, Loaded


class SlotTakenError(Exception):
    """Another server has seen to this time of a schedule."""


T = TypeVar("T")


class _Source(msgspec.Struct, frozen=True):
    """What a run is to work from: a text as it was read, how it is to be started, and the file that it came from."""

    spec: str
    base: str
    definition: Loaded
    start: StartOptions
    file_name: str | None = None


class RunService:
    """What people and other parts may ask of runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, context: ServerContext, run_control: RunControl
    ) -> None:
        self._database = database
        self._library = library
        self._context = context
        self._run_control = run_control

    async def start_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Start a text that is no stored DAG and return the run's id; raises AppError."""
        return await self._start(self._source_of_text(spec, name, start))

    async def start_stored(self, file_name: str, start: StartOptions) -> str:
        """Start a stored DAG and return the run's id; raises AppError."""
        return await self._start(await self._source_of_dag(file_name, start))

    async def enqueue_text(self, spec: str, name: str, start: StartOptions) -> str:
        """Let a text that is no stored DAG wait in its queue, and return the run's id; raises AppError."""
        return await self._enqueue(self._source_of_text(spec, name, start))

    async def enqueue_stored(self, file_name: str, start: StartOptions) -> str:
        """Let a stored DAG wait in its queue, and return the run's id; raises AppError."""
        return await self._enqueue(await self._source_of_dag(file_name, start))

    async def start_scheduled(self, dag: Row, start: StartOptions) -> str:
        """Start a stored DAG, as it was read, for its schedule, or let it wait for the worker that it asks for.

        Raises SlotTakenError beside what ``start_stored`` does.
        """
        text = self._source_of_row(dag, start)
        waits = self._context.queues.sends_to_worker(text.definition.definition.dag.worker_selector)
        return await (self._enqueue(text) if waits else self._start(text))

    def _source_of_text(self, spec: str, name: str, start: StartOptions) -> _Source:
        if not spec.strip():
            raise BadRequestError("spec: is empty; give the definition to run as YAML text")
        if name:
            check_dag_name(name, "name")
        if start.source_directory:
            check_directory(start.source_directory, "sourceDirectory")
        base = self._context.read_base_config()
        loaded = self._library.read(spec, name=name, base=base)
        if not loaded.definition.dag.name and not loaded.problems:
            raise BadRequestError("name: is missing; give it in the request or as 'name:' in the definition")
        return _Source(spec, base, loaded, start)

    async def _source_of_dag(self, file_name: str, start: StartOptions) -> _Source:
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        return self._source_of_row(row, start)

    def _source_of_row(self, row: Row, start: StartOptions) -> _Source:
        file_name, override, base = row["file_name"], start.dag_name.strip(), self._context.read_base_config()
        loaded = self._library.read(row["spec"] or "", name=file_name, base=base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        check_queue(start.queue)
        if override:
            check_dag_name(override, "dagName")
            loaded = self._library.read(row["spec"], name=file_name, override=override, base=base)
        start = msgspec.structs.replace(start, source_directory=row["source_directory"], revision=row["revision"])
        return _Source(row["spec"], base, loaded, start, file_name)

    async def _start(self, text: _Source) -> str:
        request, owned = await self._prepare(text)
        await self._accept(self._run_control.accept(request, owned))
        return owned.run_id

    async def _enqueue(self, text: _Source) -> str:
        if not self._context.queues.enabled:
            raise BadRequestError("queues are switched off here; start the run, or set queues_enabled")
        check_queue(text.start.queue)
        text = msgspec.structs.replace(text, start=msgspec.structs.replace(text.start, action=Action.RUN_ENQUEUE))
        request, owned = await self._prepare(text)
        await self._accept(self._run_control.enqueue(request, owned))
        return owned.run_id

    async def _prepare(self, text: _Source) -> tuple[RunRequest, ClaimedRun]:
        if text.definition.problems:
            raise InvalidSpecError(text.definition.problems)
        if text.definition.empty:
            raise BadRequestError(f"spec: {NO_DOCUMENT}")
        start, definition = text.start, text.definition.definition
        request = RunRequest(spec=text.spec, base=text.base, file_name=text.file_name, start=start)
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        _reject_nul(start)
        key, dag = new_key(), definition.dag
        owned = ClaimedRun(
            key=key,
            dag_name=dag.name,
            run_id=run_id,
            attempt=1,
            token=1,
            definition=definition,
            inputs=await evaluate_inputs(
                dag, start.params, self._run_location(key, start.source_directory, text.file_name)
            ),
            last_seq=1,
            queue=start.queue or dag.queue or dag.name,
        )
        return request, owned

    async def _accept(self, stored: Awaitable[T]) -> T:
        try:
            return await stored
        except RunRefusedError as error:
            if error.refusal.code == SLOT_TAKEN:
                raise SlotTakenError(error.refusal.message) from error
            raise _as_app_error(error.refusal) from error

    async def reschedule(self, run: Row, start: StartOptions) -> tuple[str, bool]:
        """Start a run from what another one worked from; return its id, and whether it waits. Raises AppError.

        Its text, params and environment are the other run's; dotenv files are read again.
        """
        request = msgspec.structs.replace(start, singleton=True, may_queue=True, action=Action.RUN_RESCHEDULE)
        return await self.start_from_run(run, request)

    async def restart(self, run: Row, start: StartOptions) -> tuple[str, bool]:
        """Start a run in place of one that is over, whatever limit its DAG has; raises AppError."""
        status = RunStatus(run["status"])
        if not status.is_final:
            raise MaxRunReachedError(
                f"run {run['run_id']!r} of DAG {run['dag_name']!r} is {status.label}; stop it first"
            )
        return await self.start_from_run(
            run, msgspec.structs.replace(start, limited=False, action=Action.RUN_RESCHEDULE)
        )

    async def start_from_run(self, run: Row, start: StartOptions) -> tuple[str, bool]:
        """Do the same within the limits that ``start`` names; raises SlotTakenError, too."""
        name = start.dag_name.strip()
        if name:
            check_dag_name(name, "dagName")
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        source = await self._source_of_run(run)
        name = name or run["dag_name"]
        loaded = self._library.read(source.spec, name=name, override=name, base=source.base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        key, dag = new_key(), loaded.definition.dag
        location = self._run_location(key, source.inputs.source_directory, source.run["file_name"])
        inputs = await reevaluate_inputs(dag, source.inputs, location)
        owned = ClaimedRun(
            key=key,
            dag_name=name,
            run_id=run_id,
            attempt=1,
            token=1,
            definition=loaded.definition,
            inputs=inputs,
            last_seq=1,
            queue=dag.queue or name,
        )
        start = msgspec.structs.replace(start, revision=source.run["dag_revision"])
        request = RunRequest(spec=source.spec, base=source.base, file_name=source.run["file_name"], start=start)
        return run_id, await self._accept(self._run_control.accept(request, owned))

    async def check_params(self, definition: Definition) -> list[Problem]:
        """Say how the params of a DAG break the schemas that they refer to, as if it were stored."""
        context = self._context
        limit = context.evaluation_limit_seconds
        location = RunLocation(
            source_directory=None, work_dir=context.work_dir, machine=context.machine, limit_seconds=limit
        )
        return await check_params(definition, location)

    async def definition_of(self, run: Row) -> Definition:
        """Return what a run works from; raises AppError when that is gone."""
        return (await self._source_of_run(run)).loaded.definition

    async def _source_of_run(self, run: Row) -> StoredRun:
        try:
            return await self._database.read(
                lambda connection: run_loading.load(connection, self._library, self._context.encrypter, run["id"])
            )
        except DefinitionGoneError as error:
            raise definition_gone(run) from error

    def _run_location(self, key: int, source_directory: str | None, file_name: str | None) -> RunLocation:
        context = self._context
        return RunLocation(
            source_directory=source_directory,
            private_directory=None if file_name else RunSpool(context.spool, key).work,
            work_dir=context.work_dir,
            machine=context.machine,
            limit_seconds=context.evaluation_limit_seconds,
        )

    async def stop(self, dag_name: str, run_id: str, actor: Actor) -> None:
        """Ask a run to stop; raises NotFoundError or NotRunningError. The run ends later."""
        run = await self._database.read_inline(lambda connection: runs.get(connection, dag_name, run_id))
        if run is None:
            raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(dag_name)}")
        status = RunStatus(run["status"])
        if status not in (RunStatus.RUNNING, RunStatus.NOT_STARTED):
            raise NotRunningError(f"run {run_id!r} of DAG {dag_name!r} is not running, it is {status.label}")
        audit_action = run_action(Action.RUN_STOP, run, before={"status": status.label})
        entry = actor.entry(audit_action, self._context.now())
        request = await self._database.write(lambda connection: _add_stop_request(connection, run, actor.label, entry))
        self._run_control.notify_stop(request)

    async def stop_all(self, file_name: str, actor: Actor) -> list[str]:
        """Ask all running runs of a stored DAG to stop; returns a message for each that could not be asked."""
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        errors = []
        for run_id in await self._database.read(lambda connection: runs.find_active(connection, row["dag_name"])):
            try:
                await self.stop(row["dag_name"], run_id, actor)
            except (NotRunningError, NotFoundError):
                continue  # it ended in between, which is what was wanted
            except DatabaseUnavailable as error:
                errors.append(f"run {run_id!r} could not be asked to stop: {error}")
        return errors


def _add_stop_request(connection: WriteConnection, run: Row, actor: str | None, entry: Row) -> StopRequest:
    request = runs.add_stop_request(connection, run["id"], actor, entry["at"])
    audit.add(connection, entry)
    return request


def _reject_nul(start: StartOptions) -> None:
    for field, text in (("params", start.params), ("sourceDirectory", start.source_directory or "")):
        if "\0" in text:
            raise BadRequestError(f"{field}: holds a NUL character, which no process can be given")


def _as_app_error(refusal: Refusal) -> AlreadyExistsError | MaxRunReachedError:
    kind = AlreadyExistsError if refusal.code == AlreadyExistsError.code else MaxRunReachedError
    return kind(refusal.message)
