"""Use cases of runs: start a stored DAG or a text, stop a run, stop all runs of a DAG (api-behaviour 3.4, 3.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import msgspec

from app.db.database import Database
from app.db.repositories import dags, runs
from app.db.repositories.transitions import Activity, NewRun
from app.engine.event import HANDLER_NAMES
from app.engine.plan import Plan, fresh
from app.engine.status import RunStatus
from app.errors import (
    AlreadyExistsError,
    BadRequestError,
    InvalidSpecError,
    MaxRunReachedError,
    NotFoundError,
    NotRunningError,
)
from app.names import check_dag_name, check_run_id, new_key, new_run_id, shorten
from app.runs import rows
from app.runs.inputs import Place, evaluate_inputs
from app.runs.recorder import Recorder, Refusal, RunRefusedError
from app.runs.run import OwnedRun, RunInputs
from app.spec import params
from app.spec.library import Library, hash_of
from app.spec.load import Loaded
from app.spec.model import Dag


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How somebody wants a run to be started."""

    params: str = ""
    run_id: str = ""
    dag_name: str = ""
    singleton: bool = False
    trigger: str = "api"
    actor: str | None = None
    source_directory: str | None = None


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of this server share."""

    spool: Path
    work_dir: Path
    base_config: Path
    environ: Mapping[str, str]
    home: str
    default_shell: tuple[str, ...]
    evaluation_limit_seconds: float
    owner: str
    host: str


def guard(run: NewRun, used: bool, activity: Activity) -> Refusal | None:
    """Say why a run must not be started now, in the order that clients rely on (api-behaviour 3.4)."""
    if used:
        return Refusal("already_exists", f"run {run.run_id!r} of DAG {run.dag_name!r} exists already")
    if activity.live and (run.singleton or run.max_active_runs == 1):
        return Refusal("max_run_reached", f"DAG {run.dag_name!r} is running already and allows one run at a time")
    if 0 < run.max_active_runs <= activity.live + activity.queued:
        return Refusal(
            "max_run_reached", f"DAG {run.dag_name!r} has reached its limit of {run.max_active_runs} active runs"
        )
    return None


class Launcher:
    """What people and other parts may ask of runs."""

    def __init__(
        self,
        database: Database,
        recorder: Recorder,
        library: Library,
        ground: Ground,
        now: Callable[[], datetime],
        adopt: Callable[[OwnedRun, Dag], None],
        tell_stop: Callable[[int], None],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._library = library
        self._ground = ground
        self._now = now
        self._adopt = adopt
        self._tell_stop = tell_stop

    async def start_text(self, spec: str, name: str, start: Start) -> str:
        """Start a text that is no stored DAG and return the run's id; raises AppError."""
        if not spec.strip():
            raise BadRequestError("spec: is empty; give the definition to run as YAML text")
        if name:
            check_dag_name(name, "name")
        loaded = self._read(spec, name=name)
        if not loaded.definition.dag.name and not loaded.problems:
            raise BadRequestError("name: is missing; give it in the request or as 'name:' in the definition")
        return await self._start(spec, loaded, None, start)

    async def start_stored(self, file_name: str, start: Start) -> str:
        """Start a stored DAG and return the run's id; raises AppError."""
        row = await self._database.glance(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        override = start.dag_name.strip()
        loaded = self._read(row["spec"] or "", name=file_name)
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        if override:
            check_dag_name(override, "dagName")
            loaded = self._read(row["spec"], name=file_name, override=override)
        start = msgspec.structs.replace(start, source_directory=row["source_directory"])
        return await self._start(row["spec"], loaded, file_name, start)

    def _read(self, spec: str, *, name: str = "", override: str = "") -> Loaded:
        return self._library.read(spec, name=name, override=override, base=self._base_text())

    def _base_text(self) -> str:
        try:
            return self._ground.base_config.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    async def _start(self, spec: str, loaded: Loaded, file_name: str | None, start: Start) -> str:
        if loaded.problems:
            raise InvalidSpecError(loaded.problems)
        run_id = check_run_id(start.run_id) if start.run_id else new_run_id()
        key = new_key()
        inputs = await evaluate_inputs(loaded.definition.dag, start.params, self._place(key, start))
        new = self._new_run(key, run_id, spec, loaded, file_name, start, inputs)
        try:
            await self._recorder.accept(new)
        except RunRefusedError as error:
            raise _as_app_error(error.refusal) from error
        owned = OwnedRun(
            key=key,
            dag_name=new.dag_name,
            run_id=run_id,
            attempt=1,
            token=1,
            definition=loaded.definition,
            inputs=inputs,
            last_seq=len(new.events),
        )
        self._adopt(owned, loaded.definition.dag)
        return run_id

    def _place(self, key: int, start: Start) -> Place:
        ground = self._ground
        return Place(
            source_directory=start.source_directory,
            own_directory=ground.spool / str(key) / "work",
            work_dir=ground.work_dir,
            home=ground.home,
            shell=ground.default_shell,
            environ=ground.environ,
            limit_seconds=ground.evaluation_limit_seconds,
        )

    def _new_run(
        self,
        key: int,
        run_id: str,
        spec: str,
        loaded: Loaded,
        file_name: str | None,
        start: Start,
        inputs: RunInputs,
    ) -> NewRun:
        dag = loaded.definition.dag
        now = self._now()
        base = self._base_text()
        definition = {"hash": hash_of(spec, base), "spec": spec, "base": base or None, "created_at": now}
        run = {
            "id": key,
            "dag_name": dag.name,
            "run_id": run_id,
            "definition_hash": definition["hash"],
            "file_name": file_name,
            "queue": dag.queue or dag.name,
            "trigger": start.trigger,
            "actor": start.actor,
            "params": inputs.params,
            "params_text": params.show(inputs.params),
            "tags": dag.tags,
            "status": int(RunStatus.NOT_STARTED),
            "attempt": 1,
            "created_at": now,
            "max_active_runs": dag.max_active_runs,
        }
        attempt = {
            "run_id": key,
            "number": 1,
            "status": int(RunStatus.NOT_STARTED),
            "owner": self._ground.owner,
            "token": 1,
            "host": self._ground.host,
            "opened_at": now,
        }
        return NewRun(
            key=key,
            dag_name=dag.name,
            run_id=run_id,
            singleton=start.singleton,
            max_active_runs=dag.max_active_runs,
            definition=definition,
            run=run,
            attempt=attempt,
            inputs=_input_row(key, inputs),
            nodes=_node_rows(key, dag),
            events=[rows.accepted_event(key, now, start.trigger, start.actor)],
        )

    async def stop(self, dag_name: str, run_id: str, actor: str | None) -> None:
        """Ask a run to stop; raises NotFoundError or NotRunningError. The run ends later."""
        run = await self._database.glance(lambda connection: runs.get(connection, dag_name, run_id))
        if run is None:
            raise NotFoundError(f"there is no run {shorten(run_id)} of DAG {shorten(dag_name)}")
        status = RunStatus(run["status"])
        if status not in (RunStatus.RUNNING, RunStatus.NOT_STARTED):
            raise NotRunningError(f"run {run_id!r} of DAG {dag_name!r} is not running, it is {status.label}")
        now = self._now()
        await self._database.write(lambda connection: runs.add_stop_request(connection, run["id"], actor, now))
        self._tell_stop(run["id"])

    async def stop_all(self, file_name: str, actor: str | None) -> list[str]:
        """Ask all running runs of a stored DAG to stop; returns a message for each that could not be asked."""
        row = await self._database.glance(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
        wanted = runs.RunFilter(name=row["dag_name"], status=int(RunStatus.RUNNING))
        errors = []
        for run in await self._database.read(lambda connection: runs.find(connection, wanted)):
            try:
                await self.stop(run["dag_name"], run["run_id"], actor)
            except NotRunningError:
                continue  # it ended in between, which is what was wanted
            except NotFoundError as error:
                errors.append(error.message)
        return errors


def _as_app_error(refusal: Refusal) -> AlreadyExistsError | MaxRunReachedError:
    kind = AlreadyExistsError if refusal.code == AlreadyExistsError.code else MaxRunReachedError
    return kind(refusal.message)


def _input_row(key: int, inputs: RunInputs) -> rows.Row:
    return {
        "run_id": key,
        "params": inputs.params,
        "env": inputs.env,
        "dotenv": inputs.dotenv,
        "work_dir": inputs.work_dir,
        "keep_dir": inputs.keep_dir,
    }


def _node_rows(key: int, dag: Dag) -> list[rows.Row]:
    state = fresh(Plan.of(dag))
    names = {position: step.name for position, step in enumerate(dag.steps)}
    names.update({position: HANDLER_NAMES[position] for position in state.handlers})
    return [
        {"run_id": key, "attempt": 1, "position": position, "name": name, "handler": position < 0, "status": 0}
        for position, name in names.items()
    ]


