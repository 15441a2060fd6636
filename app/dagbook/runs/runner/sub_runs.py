"""Execution of sub-runs: find the called DAG, start its run, wait until it has finished (runtime 20)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from sqlalchemy.exc import IntegrityError

from dagbook.db.database import Database
from dagbook.db.repositories import dags, principals
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.db.repositories.runs.runs import RunRow
from dagbook.engine.state import NodeState
from dagbook.errors import AppError
from dagbook.executors.calls import Result, SubRun, SubRunBatch, SubRunExecution
from dagbook.executors.contract import ExecutionFiles, SetupError, StepError, Streams
from dagbook.executors.process.accounts import files_as
from dagbook.identifiers import new_key, shorten, strip_suffix
from dagbook.runs.evaluation import sub_run_plan
from dagbook.runs.evaluation.environment import RunEnvironment, StepContext
from dagbook.runs.evaluation.inputs import prepare_inputs
from dagbook.runs.evaluation.sub_run_plan import SubRunCall, SubRunRecord
from dagbook.runs.model import ClaimedRun, RunLocation, RunRequest, StartOptions
from dagbook.runs.ports import RunControl
from dagbook.runs.runner.completion import RunCompletion
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.secrets.encryption import EncryptionError
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store import row_mapping
from dagbook.runs.store.recorder import RunRefusedError
from dagbook.runs.store.run_loading import DefinitionGoneError
from dagbook.spec import paths
from dagbook.spec.calls import no_dag
from dagbook.spec.expansion.scope import StepScope
from dagbook.spec.model import Definition
from dagbook.spec.params.given import GivenParams
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import NO_DOCUMENT, Loaded

_log = logging.getLogger(__name__)
MAX_LEVELS = 100
_TRIGGER = "subdag"
_SUFFIXES = ("", ".yaml", ".yml")


class CalledDag(msgspec.Struct, frozen=True, kw_only=True):
    """Called DAG: its text and origin."""

    definition: Definition
    spec: str
    base: str
    file_name: str | None = None
    revision: int | None = None
    source_directory: str | None = None
    run_as: str | None = None


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """Calling run, working directory of its step, and environment that the sub-runs inherit."""

    run: ClaimedRun
    directory: str
    environ: Mapping[str, str]
    add_secrets: Callable[[Sequence[str]], None]  # receives the secret values in the outputs of sub-runs


class SubRunService:
    """Services of this process for sub-runs."""

    def __init__(
        self, database: Database, library: DefinitionCache, context: ServerContext, run_control: RunControl
    ) -> None:
        self.database = database
        self.library = library
        self.context = context
        self.run_control = run_control
        self.completion = RunCompletion(database)

    async def find_callee(self, name: str, caller: CallContext) -> CalledDag:
        """Find the DAG that a name refers to in the calling run (runtime 20.1); raises SetupError."""
        local = caller.run.definition.called(name)
        if local is not None:
            return await self._local(local, caller)
        if "/" in name:
            return await self._from_files(name, caller.directory, caller)
        beside = caller.run.inputs.source_directory
        if beside and any(path.is_file() for path in _candidates(name, beside)):
            return await self._from_files(name, beside, caller)
        return await self._stored(strip_suffix(name), name, caller)

    async def get_stored(self, file_name: str, name: str, caller: CallContext) -> DagRow:
        """Return a stored DAG; raises SetupError if it is missing, or as if it were, if the caller may not call it."""
        row = await self.database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise SetupError(no_dag(name))
        await self._require_rights([row.dag_name], name, caller)
        return row

    async def _require_rights(self, dag_names: Sequence[str], name: str, caller: CallContext) -> None:
        run, root = caller.run, caller.run.lineage_of_children.root
        if not await self.database.read_inline(lambda connection: principals.may_call(connection, root, dag_names)):
            # The run says that there is no such DAG; those who run the server find the reason here.
            _log.warning("run %s/%s lacks the rights to call %s", run.dag_name, run.run_id, shorten(name))
            raise SetupError(no_dag(name))

    async def find_attempts(self, caller: CallContext, ids: Sequence[str]) -> dict[str, int]:
        """Return the current attempt number of each sub-run that exists, by run id."""
        root = caller.run.lineage_of_children.root
        return await self.database.read(lambda connection: runs.find_attempts(connection, root, ids))

    async def _local(self, definition: Definition, caller: CallContext) -> CalledDag:
        key = caller.run.key
        texts = await self.database.read(lambda connection: runs.get_spec_of_run(connection, key))
        if texts is None or texts[0] is None:
            raise SetupError("the definition of the calling run was redacted")
        source = caller.run.inputs.source_directory
        return CalledDag(
            definition=definition,
            spec=texts[0],
            base=texts[1] or "",
            source_directory=source,
            run_as=caller.run.inputs.run_as,
        )

    async def _from_files(self, name: str, directory: str, caller: CallContext) -> CalledDag:
        run_as = caller.run.inputs.run_as
        for path in _candidates(name, directory):
            try:
                with files_as(run_as or self.context.machine.account):
                    spec = path.read_text(encoding="utf-8")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                raise SetupError(f"the called DAG {shorten(name)} could not be read: {error}") from error
            folder, stem = str(path.parent), path.stem
            of_file = await self.database.read_inline(
                lambda connection: dags.find_names_of_file(connection, folder, stem)  # noqa: B023 - awaited at once
            )
            await self._require_rights(of_file, name, caller)
            base = self.context.read_base_config()
            loaded = await self.library.read_aside(spec, name=path.stem, base=base, base_handlers=False)
            return CalledDag(
                definition=_require_valid(loaded, name),
                spec=spec,
                base=base,
                source_directory=str(path.parent),
                run_as=run_as,
            )
        raise SetupError(no_dag(name))

    async def _stored(self, file_name: str, name: str, caller: CallContext) -> CalledDag:
        row = await self.get_stored(file_name, name, caller)
        spec, base = row.spec or "", self.context.read_base_config()
        loaded = await self.library.read_aside(spec, name=file_name, base=base, base_handlers=False)
        return CalledDag(
            definition=_require_valid(loaded, name),
            spec=spec,
            base=base,
            file_name=file_name,
            revision=row.revision,
            source_directory=row.source_directory,
            run_as=row.run_as,
        )


def _candidates(name: str, directory: str) -> list[Path]:
    path = paths.resolve(name, base=directory, home=str(Path.home()))
    return [Path(path + suffix) for suffix in _SUFFIXES]


def _require_valid(loaded: Loaded, name: str) -> Definition:
    if loaded.problems:
        raise SetupError(f"the called DAG {shorten(name)} is invalid: {loaded.problems[0]}")
    if loaded.empty:
        raise SetupError(f"the called DAG {shorten(name)} is invalid: {NO_DOCUMENT}")
    return loaded.definition


class SubRunExecutor:
    """Runs and stops the sub-runs of one execution of a step."""

    def __init__(
        self, sub_run_service: SubRunService, caller: CallContext, called: str, callee: CalledDag | None = None
    ) -> None:
        self._sub_run_service = sub_run_service
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
        await self._sub_run_service.completion.wait(key)
        return await self._result(request)

    async def _retry(self, request: SubRun, row: RunRow) -> int:
        try:
            if row.file_name is not None:  # a computed name may name another DAG by now
                await self._sub_run_service.get_stored(row.file_name, request.name, self._caller)
            await self._sub_run_service.run_control.start_attempt(
                row.id, attempt=request.attempt, directory=self._caller.directory
            )
        except (AppError, SetupError, DefinitionGoneError, RunRefusedError) as error:
            raise StepError(f"the called run {request.id} could not be retried: {error}") from error
        return row.id

    async def _find(self, request: SubRun) -> RunRow | None:
        root = self._caller.run.lineage_of_children.root
        return await self._sub_run_service.database.read_inline(
            lambda connection: runs.get_sub_run(connection, root, request.id)
        )

    async def _accept(self, request: SubRun, owned: ClaimedRun) -> int:
        callee = await self._find_callee()
        start = StartOptions(params=_given(request), trigger=_TRIGGER, revision=callee.revision)
        new_run = RunRequest(spec=callee.spec, base=callee.base, file_name=callee.file_name, start=start)
        try:
            await self._sub_run_service.run_control.accept(new_run, owned)
        except IntegrityError:
            row = await self._find(request)  # a server that was considered dead has just started it
            if row is None:
                raise
            return row.id
        return owned.key

    async def _find_callee(self) -> CalledDag:
        """Find the called DAG only when a run has to start: after all have started it may have been deleted."""
        if self._callee is None:
            self._callee = await self._sub_run_service.find_callee(self._called, self._caller)
        return self._callee

    async def _claimed_run(self, request: SubRun) -> ClaimedRun:
        parent, callee = self._caller.run, await self._find_callee()
        dag, location = callee.definition.dag, self._run_location(callee)
        inputs = await prepare_inputs(dag, _given(request), location)
        if not location.crosses_accounts:
            inputs = msgspec.structs.replace(
                inputs, base_environment=dict(self._caller.environ), base_sealed=parent.inputs.names_from_dotenv
            )
        return ClaimedRun(
            key=new_key(),
            dag_name=dag.name,
            run_id=request.id,
            definition=callee.definition,
            inputs=msgspec.structs.replace(inputs, hidden=parent.masker.values),
            lineage=parent.lineage_of_children.child(parent.key),
        )

    def _run_location(self, callee: CalledDag) -> RunLocation:
        """Return the location of a sub-run: under another account that of a run of its own, else its caller's."""
        context = self._sub_run_service.context
        own = context.machine.account
        crosses = (callee.run_as or own) != (self._caller.run.inputs.run_as or own)
        return RunLocation.of(
            context,
            source_directory=callee.source_directory,
            run_as=callee.run_as,
            environ=None if crosses else self._caller.environ,
            caller_directory=self._caller.directory,
            crosses_accounts=crosses,
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
        sub_run_service = self._sub_run_service
        found = await sub_run_service.database.read_inline(
            lambda connection: runs.get_outputs(connection, key, attempt)
        )
        records = [row_mapping.read_record(node, sub_run_service.context.encrypter) for node in found]
        if any(node.output_sealed for node in found):
            row = await sub_run_service.database.read_inline(lambda connection: runs.get_complete(connection, key))
            assert row is not None  # noqa: S101 - its outputs were there
            inputs = row_mapping.read_inputs(row, sub_run_service.context.encrypter)
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
        sub_run_service, now = self._sub_run_service, self._sub_run_service.context.now()
        request = await sub_run_service.database.write(
            lambda connection: runs.add_stop_request(connection, key, None, now, at_once=at_once)
        )
        sub_run_service.run_control.notify_stop(request)
        await sub_run_service.run_control.cancel_queued(key)


class SubRunCalls:
    """Plans, starts and resumes the sub-runs of the steps of one run."""

    def __init__(self, run: ClaimedRun, environment: RunEnvironment, sub_run_service: SubRunService) -> None:
        self._run = run
        self._environment = environment
        self._sub_run_service = sub_run_service

    async def plan(
        self, node: NodeExecution, state: NodeState, scope: StepScope, context: StepContext
    ) -> SubRunExecutor:
        """Plan the sub-runs of an execution and put their ids into the node's record.

        Raises SetupError and ExpansionError.
        """
        environment = self._environment

        directory = environment.directory_of(node.step)
        if node.step.working_dir and not await asyncio.to_thread(Path(directory).is_dir):
            raise SetupError(f"workingDir: there is no directory {directory}, which the called DAG would work in")
        name, params = await sub_run_plan.evaluate_calls(node.step, environment.evaluator(scope, context))
        caller = self._caller(node)
        callee = await self._sub_run_service.find_callee(name, caller)
        calls = SubRunCall(
            parent=self._run.run_id,
            step=node.step.name,
            called=name,
            dag_name=callee.definition.dag.name,
            params=params,
        )
        record = sub_run_plan.plan_calls(_record(node), state, calls)
        attempts = await self._sub_run_service.find_attempts(caller, [run.id for run in record.current])
        node.records.sub_runs = msgspec.to_builtins(sub_run_plan.with_retries(record, attempts))
        return SubRunExecutor(self._sub_run_service, caller, name, callee)

    def resume(self, node: NodeExecution, number: int) -> SubRunExecutor | None:
        """Resume the calls that another process planned for an execution; None if they were not stored."""
        record = _record(node)
        if record is None or record.execution != number:
            return None
        return SubRunExecutor(self._sub_run_service, self._caller(node), record.called)

    def start(self, node: NodeExecution, sub_runs: SubRunExecutor, files: ExecutionFiles) -> SubRunExecution:
        """Start or resume the sub-runs that the node's record names."""
        record, parallel = _record(node), node.step.parallel
        assert record is not None  # noqa: S101 - planned before
        call = SubRunBatch(
            sub_runs=record.current,
            each=parallel is not None,
            max_concurrent=parallel.max_concurrent if parallel else 1,
            grace_seconds=self._run.definition.dag.max_clean_up_seconds,
        )
        return SubRunExecution(call, sub_runs, Streams(files))

    def _caller(self, node: NodeExecution) -> CallContext:
        if self._run.lineage_of_children.level >= MAX_LEVELS:
            raise SetupError(f"the call is {MAX_LEVELS} levels deep: does a DAG call itself without end?")
        environment = self._environment

        def add_secrets(values: Sequence[str]) -> None:
            """Mask values in this run as well, and store them with the node for a server that adopts the run."""
            new = [value for value in dict.fromkeys(values) if value not in self._run.masker.values]
            node.records.hidden += tuple(new)
            self._run.masker.add_secrets(new)

        return CallContext(
            run=self._run,
            directory=environment.directory_of(node.step),
            environ=environment.inherited_env(),
            add_secrets=add_secrets,
        )


def _given(request: SubRun) -> GivenParams:
    return GivenParams(request.params, request.pairs)


def _record(node: NodeExecution) -> SubRunRecord | None:
    return sub_run_plan.read_record(node.records.sub_runs)
