"""Use cases of runs: start or enqueue a stored DAG or a text, start what a run worked from; stop one run or all.

Behaviour: api-behaviour 3.4 and 3.6, runtime 21.6 and 21.7.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

import msgspec

from app.auth.audit_context import Action, Actor, run_action
from app.db.database import Database, WriteConnection
from app.db.failure import DatabaseUnavailable
from app.db.repositories import audit, dags, runs
from app.db.repositories.reading import Row
from app.db.repositories.runs import StopRequest
from app.engine.status import RunStatus
from app.errors import (
    AlreadyExistsError,
    BadRequestError,
    InvalidSpecError,
    MaxRunReachedError,
    NotFoundError,
    NotRunningError,
)
from app.names import check_dag_name, check_directory, check_queue, check_run_id, new_key, new_run_id, shorten
from app.runs import stored
from app.runs.accept import Start, Wanted
from app.runs.files import RunFiles
from app.runs.ground import Ground
from app.runs.guard import SLOT_TAKEN, Refusal
from app.runs.inputs import Place, evaluate_again, evaluate_inputs
from app.runs.param_check import check_params
from app.runs.recorder import RunRefusedError
from app.runs.rerun import gone
from app.runs.run import OwnedRun
from app.runs.stored import DefinitionGoneError, StoredRun
from app.spec.definition_cache import DefinitionCache
from app.spec.load import NO_DOCUMENT, Loaded
from app.spec.model import Definition
from app.spec.problem import Problem


class SlotTakenError(Exception):
    """Another server has seen to this time of a schedule."""


T = TypeVar("T")


class Drivers(Protocol):
    """Those who drive runs, seen from here."""

    async def accept(self, wanted: Wanted, run: OwnedRun) -> bool:
        """Store a new run and drive it, unless it has to wait: then return True. Raises RunRefusedError."""

    async def enqueue(self, wanted: Wanted, run: OwnedRun) -> None:
        """Store a new run that waits in its queue; raises RunRefusedError."""

    def tell_stop(self, request: StopRequest) -> None:
        """Tell a run that it was asked to stop, if it is driven here."""


class _Text(msgspec.Struct, frozen=True):
    """What a run is to work from: a text as it was read, how it is to be started, and the file that it came from."""

    spec: str
    base: str
    loaded: Loaded
    start: Start
    file_name: str | None = None


class Launcher:
    """What people and other parts may ask of runs."""

    def __init__(self, database: Database, library: DefinitionCache, ground: Ground, drivers: Drivers) -> None:
        self._database = database
        self._library = library
        self._ground = ground
        self._drivers = drivers

    async def start_text(self, spec: str, name: str, start: Start) -> str:
        """Start a text that is no stored DAG and return the run's id; raises AppError."""
        return await self._start(self._text(spec, name, start))

    async def start_stored(self, file_name: str, start: Start) -> str:
        """Start a stored DAG and return the run's id; raises AppError."""
        return await self._start(await self._stored(file_name, start))

    async def enqueue_text(self, spec: str, name: str, start: Start) -> str:
        """Let a text that is no stored DAG wait in its queue, and return the run's id; raises AppError."""
        return await self._enqueue(self._text(spec, name, start))

    async def enqueue_stored(self, file_name: str, start: Start) -> str:
        """Let a stored DAG wait in its queue, and return the run's id; raises AppError."""
        return await self._enqueue(await self._stored(file_name, start))

    async def start_due(self, dag: Row, start: Start) -> str:
        """Start a stored DAG, as it was read, for its schedule, or let it wait for the worker that it asks for.

        Raises SlotTakenError beside what ``start_stored`` does.
        """
        text = self._stored_text(dag, start)
        waits = self._ground.queues.sends_to_worker(text.loaded.definition.dag.worker_selector)
        return await (self._enqueue(text) if waits else self._start(text))

    def _text(self, spec: str, name: str, start: Start) -> _Text:
        if not spec.strip():
            raise BadRequestError("spec: is empty; give the definition to run as YAML text")
        if name:
            check_dag_name(name, "name")
        if start.source_directory:
            check_directory(start.source_directory, "sourceDirectory")
        base = self._ground.base_text()
        loaded = self._library.read(spec, name=name, base=base)
        if not loaded.definition.dag.name and not loaded.problems:
            raise BadRequestError("name: is missing; give it in the request or as 'name:' in the definition")
        return _Text(spec, base, loaded, start)

    async def _stored(self, file_name: str, start: Start) -> _Text:
        row = await self._database.glance(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        return self._stored_text(row, start)

    def _stored_text(self, row: Row, start: Start) -> _Text:
        file_name, override, base = row["file_name"], start.dag_name.strip(), self._ground.base_text()
        loaded = self._library.read(row["spec"] or "", name=file_name, base=base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        check_queue(start.queue)
        if override:
            check_dag_name(override, "dagName")
            loaded = self._library.read(row["spec"], name=file_name, override=override, base=base)
        start = msgspec.structs.replace(start, source_directory=row["source_directory"], revision=row["revision"])
        return _Text(row["spec"], base, loaded, start, file_name)

    async def _start(self, text: _Text) -> str:
        wanted, owned = await self._prepare(text)
        await self._accept(self._drivers.accept(wanted, owned))
        return owned.run_id

    async def _enqueue(self, text: _Text) -> str:
        if not self._ground.queues.enabled:
            raise BadRequestError("queues are switched off here; start the run, or set queues_enabled")
        check_queue(text.start.queue)
        text = msgspec.structs.replace(text, start=msgspec.structs.replace(text.start, action=Action.RUN_ENQUEUE))
        wanted, owned = await self._prepare(text)
        await self._accept(self._drivers.enqueue(wanted, owned))
        return owned.run_id

    async def _prepare(self, text: _Text) -> tuple[Wanted, OwnedRun]:
        if text.loaded.problems:
            raise InvalidSpecError(text.loaded.problems)
        if text.loaded.empty:
            raise BadRequestError(f"spec: {NO_DOCUMENT}")
        start, definition = text.start, text.loaded.definition
        wanted = Wanted(spec=text.spec, base=text.base, file_name=text.file_name, start=start)
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        _refuse_nul(start)
        key, dag = new_key(), definition.dag
        owned = OwnedRun(
            key=key,
            dag_name=dag.name,
            run_id=run_id,
            attempt=1,
            token=1,
            definition=definition,
            inputs=await evaluate_inputs(dag, start.params, self._place(key, start.source_directory, text.file_name)),
            last_seq=1,
            queue=start.queue or dag.queue or dag.name,
        )
        return wanted, owned

    async def _accept(self, stored: Awaitable[T]) -> T:
        try:
            return await stored
        except RunRefusedError as error:
            if error.refusal.code == SLOT_TAKEN:
                raise SlotTakenError(error.refusal.message) from error
            raise _as_app_error(error.refusal) from error

    async def reschedule(self, run: Row, start: Start) -> tuple[str, bool]:
        """Start a run from what another one worked from; return its id, and whether it waits. Raises AppError.

        Its text, params and environment are the other run's; dotenv files are read again.
        """
        wanted = msgspec.structs.replace(start, singleton=True, may_queue=True, action=Action.RUN_RESCHEDULE)
        return await self.start_again(run, wanted)

    async def restart(self, run: Row, start: Start) -> tuple[str, bool]:
        """Start a run in place of one that is over, whatever limit its DAG has; raises AppError."""
        status = RunStatus(run["status"])
        if not status.is_final:
            raise MaxRunReachedError(
                f"run {run['run_id']!r} of DAG {run['dag_name']!r} is {status.label}; stop it first"
            )
        return await self.start_again(run, msgspec.structs.replace(start, limited=False, action=Action.RUN_RESCHEDULE))

    async def start_again(self, run: Row, start: Start) -> tuple[str, bool]:
        """Do the same within the limits that ``start`` names; raises SlotTakenError, too."""
        name = start.dag_name.strip()
        if name:
            check_dag_name(name, "dagName")
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        source = await self._source(run)
        name = name or run["dag_name"]
        loaded = self._library.read(source.spec, name=name, override=name, base=source.base)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        key, dag = new_key(), loaded.definition.dag
        place = self._place(key, source.inputs.source_directory, source.run["file_name"])
        inputs = await evaluate_again(dag, source.inputs, place)
        owned = OwnedRun(
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
        wanted = Wanted(spec=source.spec, base=source.base, file_name=source.run["file_name"], start=start)
        return run_id, await self._accept(self._drivers.accept(wanted, owned))

    async def check_params(self, definition: Definition) -> list[Problem]:
        """Say how the params of a DAG break the schemas that they refer to, as if it were stored."""
        ground = self._ground
        limit = ground.evaluation_limit_seconds
        place = Place(source_directory=None, work_dir=ground.work_dir, machine=ground.machine, limit_seconds=limit)
        return await check_params(definition, place)

    async def definition_of(self, run: Row) -> Definition:
        """Return what a run works from; raises AppError when that is gone."""
        return (await self._source(run)).loaded.definition

    async def _source(self, run: Row) -> StoredRun:
        try:
            return await self._database.read(
                lambda connection: stored.load(connection, self._library, self._ground.sealer, run["id"])
            )
        except DefinitionGoneError as error:
            raise gone(run) from error

    def _place(self, key: int, source_directory: str | None, file_name: str | None) -> Place:
        ground = self._ground
        return Place(
            source_directory=source_directory,
            own_directory=None if file_name else RunFiles(ground.spool, key).work,
            work_dir=ground.work_dir,
            machine=ground.machine,
            limit_seconds=ground.evaluation_limit_seconds,
        )

    async def stop(self, dag_name: str, run_id: str, origin: Actor) -> None:
        """Ask a run to stop; raises NotFoundError or NotRunningError. The run ends later."""
        run = await self._database.glance(lambda connection: runs.get(connection, dag_name, run_id))
        if run is None:
            raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(dag_name)}")
        status = RunStatus(run["status"])
        if status not in (RunStatus.RUNNING, RunStatus.NOT_STARTED):
            raise NotRunningError(f"run {run_id!r} of DAG {dag_name!r} is not running, it is {status.label}")
        audit_action = run_action(Action.RUN_STOP, run, before={"status": status.label})
        entry = origin.entry(audit_action, self._ground.now())
        request = await self._database.write(lambda connection: _ask_to_stop(connection, run, origin.label, entry))
        self._drivers.tell_stop(request)

    async def stop_all(self, file_name: str, origin: Actor) -> list[str]:
        """Ask all running runs of a stored DAG to stop; returns a message for each that could not be asked."""
        row = await self._database.glance(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        errors = []
        for run_id in await self._database.read(lambda connection: runs.find_live(connection, row["dag_name"])):
            try:
                await self.stop(row["dag_name"], run_id, origin)
            except (NotRunningError, NotFoundError):
                continue  # it ended in between, which is what was wanted
            except DatabaseUnavailable as error:
                errors.append(f"run {run_id!r} could not be asked to stop: {error}")
        return errors


def _ask_to_stop(connection: WriteConnection, run: Row, actor: str | None, entry: Row) -> StopRequest:
    request = runs.add_stop_request(connection, run["id"], actor, entry["at"])
    audit.add(connection, entry)
    return request


def _refuse_nul(start: Start) -> None:
    for field, text in (("params", start.params), ("sourceDirectory", start.source_directory or "")):
        if "\0" in text:
            raise BadRequestError(f"{field}: holds a NUL character, which no process can be given")


def _as_app_error(refusal: Refusal) -> AlreadyExistsError | MaxRunReachedError:
    kind = AlreadyExistsError if refusal.code == AlreadyExistsError.code else MaxRunReachedError
    return kind(refusal.message)
