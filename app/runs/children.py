"""Sub-runs made real: what a step calls is found, its run accepted and driven, its end waited for (runtime 20)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy.exc import IntegrityError

from app.db.database import Database
from app.db.repositories import dags, runs
from app.db.repositories.reading import Row
from app.db.repositories.runs import StopRequest
from app.engine.status import RunStatus
from app.errors import AppError
from app.executors.calls import Result, SubRun
from app.executors.contract import SetupError, StepError
from app.names import new_key, shorten, strip_suffix
from app.runs import concealment
from app.runs.accept import Start, Wanted
from app.runs.ends import Ends
from app.runs.ground import Ground
from app.runs.inputs import Place, evaluate_inputs
from app.runs.recorder import RunRefusedError
from app.runs.run import OwnedRun
from app.runs.sealing import SealError
from app.runs.stored import DefinitionGoneError
from app.spec import paths
from app.spec.definition_cache import DefinitionCache
from app.spec.load import NO_DOCUMENT, Loaded
from app.spec.model import Definition

MOST_LEVELS = 100
_TRIGGER = "subdag"
_SUFFIXES = ("", ".yaml", ".yml")


class Drivers(Protocol):
    """Those who drive runs, seen from here."""

    async def accept(self, wanted: Wanted, run: OwnedRun) -> bool:
        """Store a new run and drive it."""

    async def reopen(self, key: int, *, attempt: int, directory: str) -> None:
        """Begin the next attempt of a run that is over, in the directory of its caller, and drive it."""

    def tell_stop(self, request: StopRequest) -> None:
        """Tell a run that it was asked to stop, if it is driven here."""

    async def withdraw(self, key: int) -> None:
        """End a run that waits for a worker as aborted."""


class Callee(msgspec.Struct, frozen=True, kw_only=True):
    """A DAG that is called: its text, and where that came from."""

    definition: Definition
    spec: str
    base: str
    file_name: str | None = None
    revision: int | None = None
    source_directory: str | None = None


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The run that calls, the directory its step works in, and what its callees see when they are loaded."""

    run: OwnedRun
    directory: str
    environ: Mapping[str, str]
    learn: Callable[[Sequence[str]], None]  # takes secret values that come with the results of callees


class Exchange:
    """What calls need of this process."""

    def __init__(self, database: Database, library: DefinitionCache, ground: Ground, drivers: Drivers) -> None:
        self.database = database
        self.library = library
        self.ground = ground
        self.drivers = drivers
        self.ends = Ends(database)

    async def find_callee(self, name: str, caller: Caller) -> Callee:
        """Find the DAG of a name, as the calling run sees it (runtime 20.1); raises SetupError."""
        local = caller.run.definition.called(name)
        if local is not None:
            return await self._local(local, caller)
        if "/" in name:
            return self._from_files(name, caller.directory)
        beside = caller.run.inputs.source_directory
        if beside and any(path.is_file() for path in _candidates(name, beside)):
            return self._from_files(name, beside)
        return await self._stored(strip_suffix(name), name)

    async def find_attempts(self, caller: Caller, ids: Sequence[str]) -> dict[str, int]:
        """Tell which of the sub-runs exist, and the attempt that each has come to."""
        root = caller.run.family.root
        return await self.database.read(lambda connection: runs.find_attempts(connection, root, ids))

    async def _local(self, definition: Definition, caller: Caller) -> Callee:
        key = caller.run.key
        texts = await self.database.read(lambda connection: runs.get_spec_of_run(connection, key))
        if texts is None or texts[0] is None:
            raise SetupError("the definition that the run works from was redacted")
        source = caller.run.inputs.source_directory
        return Callee(definition=definition, spec=texts[0], base=texts[1] or "", source_directory=source)

    def _from_files(self, name: str, directory: str) -> Callee:
        for path in _candidates(name, directory):
            try:
                spec = path.read_text(encoding="utf-8")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                raise SetupError(f"the called DAG {shorten(name)} could not be read: {error}") from error
            base = self.ground.base_text()
            loaded = self.library.read(spec, name=path.stem, base=base, base_handlers=False)
            return Callee(definition=_sound(loaded, name), spec=spec, base=base, source_directory=str(path.parent))
        raise SetupError(f"there is no DAG {shorten(name)} to call")

    async def _stored(self, file_name: str, name: str) -> Callee:
        row = await self.database.glance(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise SetupError(
                f"there is no DAG {shorten(name)} to call: neither a document of the same file, nor a file beside it, "
                "nor a stored DAG has this name"
            )
        spec, base = row["spec"] or "", self.ground.base_text()
        loaded = self.library.read(spec, name=file_name, base=base, base_handlers=False)
        return Callee(
            definition=_sound(loaded, name),
            spec=spec,
            base=base,
            file_name=file_name,
            revision=row["revision"],
            source_directory=row["source_directory"],
        )


def _candidates(name: str, directory: str) -> list[Path]:
    path = paths.resolve(name, base=directory, home=str(Path.home()))
    return [Path(path + suffix) for suffix in _SUFFIXES]


def _sound(loaded: Loaded, name: str) -> Definition:
    if loaded.problems:
        raise SetupError(f"the called DAG {shorten(name)} is invalid: {loaded.problems[0]}")
    if loaded.empty:
        raise SetupError(f"the called DAG {shorten(name)} is invalid: {NO_DOCUMENT}")
    return loaded.definition


class SubRuns:
    """The sub-runs of one execution of a step."""

    def __init__(self, exchange: Exchange, caller: Caller, called: str, callee: Callee | None = None) -> None:
        self._exchange = exchange
        self._caller = caller
        self._called = called
        self._callee = callee
        self._keys: dict[str, int] = {}
        self._stopped: dict[str, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, wanted: SubRun) -> Result:
        """Start a sub-run, or go on with the one there is, and return how it ended; raises StepError."""
        row = await self._find(wanted)
        if row is None:
            key = await self._start(wanted)
        elif row["attempt"] < wanted.attempt:
            key = await self._reopen(wanted, row["id"])
        else:
            key = row["id"]
        self._keys[wanted.id] = key
        if wanted.id in self._stopped:
            self.stop(wanted, at_once=self._stopped[wanted.id])
        await self._exchange.ends.wait(key)
        return await self._result(wanted)

    async def _reopen(self, wanted: SubRun, key: int) -> int:
        try:
            await self._exchange.drivers.reopen(key, attempt=wanted.attempt, directory=self._caller.directory)
        except (AppError, DefinitionGoneError, RunRefusedError) as error:
            raise StepError(f"the called run {wanted.id} could not be tried again: {error}") from error
        return key

    async def _find(self, wanted: SubRun) -> Row | None:
        root = self._caller.run.family.root
        return await self._exchange.database.glance(lambda connection: runs.get_sub_run(connection, root, wanted.id))

    async def _start(self, wanted: SubRun) -> int:
        try:
            return await self._accept(wanted, await self._own(wanted))
        except (AppError, SetupError) as error:
            raise StepError(f"the called DAG {wanted.name!r} could not be started: {error}") from error

    async def _accept(self, wanted: SubRun, owned: OwnedRun) -> int:
        callee = await self._find_callee()
        start = Start(params=wanted.params, trigger=_TRIGGER, revision=callee.revision)
        text = Wanted(spec=callee.spec, base=callee.base, file_name=callee.file_name, start=start)
        try:
            await self._exchange.drivers.accept(text, owned)
        except IntegrityError:
            row = await self._find(wanted)  # a server that was thought dead has just started it
            if row is None:
                raise
            return int(row["id"])
        return owned.key

    async def _find_callee(self) -> Callee:
        """Find what is called only when a run of it has to start: it may be gone when all have begun."""
        if self._callee is None:
            self._callee = await self._exchange.find_callee(self._called, self._caller)
        return self._callee

    async def _own(self, wanted: SubRun) -> OwnedRun:
        parent, key, callee = self._caller.run, new_key(), await self._find_callee()
        dag = callee.definition.dag
        inputs = await evaluate_inputs(dag, wanted.params, self._place(callee))
        return OwnedRun(
            key=key,
            dag_name=dag.name,
            run_id=wanted.id,
            attempt=1,
            token=1,
            definition=callee.definition,
            inputs=msgspec.structs.replace(
                inputs, base_environment=dict(self._caller.environ), hidden=parent.masker.values
            ),
            last_seq=1,
            parentage=parent.family.child(parent.key),
        )

    def _place(self, callee: Callee) -> Place:
        ground = self._exchange.ground
        return Place(
            source_directory=callee.source_directory,
            default_directory=self._caller.directory,
            work_dir=ground.work_dir,
            machine=msgspec.structs.replace(ground.machine, environ=self._caller.environ),
            limit_seconds=ground.evaluation_limit_seconds,
        )

    async def _result(self, wanted: SubRun) -> Result:
        row = await self._find(wanted)
        if row is None:
            raise StepError(f"the called run {wanted.id} of DAG {wanted.name!r} was removed")
        try:
            outputs = await self._read_outputs(row["id"], row["attempt"])
        except SealError as error:
            raise StepError(f"the outputs of the called run {wanted.id} cannot be read: {error}") from error
        return Result(
            name=row["dag_name"],
            run_id=wanted.id,
            params=row["params_text"],
            outputs=outputs,
            status=RunStatus(row["status"]).label,
            error=row["error"] or "",
        )

    async def _read_outputs(self, key: int, attempt: int) -> dict[str, str]:
        """Read the outputs of a sub-run as they are; secrets of its own in them are the caller's from now on."""
        exchange = self._exchange
        found = await exchange.database.glance(lambda connection: runs.get_outputs(connection, key, attempt))
        facts = [concealment.read_facts(node, exchange.ground.sealer) for node in found]
        if any(node["output_sealed"] for node in found):
            row = await exchange.database.glance(lambda connection: runs.get_whole(connection, key))
            assert row is not None  # noqa: S101 - its outputs were there
            inputs = concealment.read_inputs(row, exchange.ground.sealer)
            self._caller.learn((*inputs.to_hide, *(value for known in facts for value in known.hidden)))
        return {str(known.output_name): known.output_value or "" for known in facts}

    def stop(self, wanted: SubRun, *, at_once: bool) -> None:
        """Ask a sub-run to end; one that is being started hears of it when it is there."""
        self._stopped[wanted.id] = at_once
        if (key := self._keys.get(wanted.id)) is not None:
            task = asyncio.create_task(self._ask(key, at_once=at_once))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, key: int, *, at_once: bool) -> None:
        exchange, now = self._exchange, self._exchange.ground.now()
        request = await exchange.database.write(
            lambda connection: runs.add_stop_request(connection, key, None, now, at_once=at_once)
        )
        exchange.drivers.tell_stop(request)
        await exchange.drivers.withdraw(key)
