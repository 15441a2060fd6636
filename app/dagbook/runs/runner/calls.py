"""Calls of other DAGs by a step: find the called DAG, plan its runs and resume them (runtime 20)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from dagbook.db.database import Database
from dagbook.db.repositories import dags
from dagbook.db.repositories.accounts import principals
from dagbook.db.repositories.dags import DagRow
from dagbook.db.repositories.runs import runs
from dagbook.engine.state import NodeState
from dagbook.executors.calls import SubRun, SubRunBatch, SubRunExecution, SubRunStarter
from dagbook.executors.contract import ExecutionFiles, SetupError, Streams, step_files
from dagbook.identifiers import shorten, strip_suffix
from dagbook.runs.evaluation import sub_run_plan
from dagbook.runs.evaluation.environment import RunEnvironment, StepContext
from dagbook.runs.evaluation.sub_run_plan import SubRunCall
from dagbook.runs.model import ClaimedRun
from dagbook.runs.server_context import ServerContext
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.runs.trace_context import TraceContext
from dagbook.spec import paths
from dagbook.spec.calls import no_dag
from dagbook.spec.expansion.scope import StepScope
from dagbook.spec.model import Definition, Step
from dagbook.spec.reading.definition_cache import DefinitionCache
from dagbook.spec.reading.load import NO_DOCUMENT

_log = logging.getLogger(__name__)
_MAX_LEVELS = 100
_SUFFIXES = ("", ".yaml", ".yml")
# Starts and stops the sub-runs of one execution; a called DAG that is None is found when a run of it has to start.
StartSubRuns = Callable[["CallContext", str, "CalledDag | None"], SubRunStarter]


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
    trace: TraceContext | None  # of its step
    add_secrets: Callable[[Sequence[str]], None]  # receives the secret values in the outputs of sub-runs


class PlannedCalls(msgspec.Struct, frozen=True):
    """Sub-runs of one execution, whose ids are in the record of its node, and what starts them."""

    sub_runs: Sequence[SubRun]
    starter: SubRunStarter


class CalledDags:
    """Finds the DAGs that runs call, with the rights of the caller."""

    def __init__(self, database: Database, library: DefinitionCache, context: ServerContext) -> None:
        self._database = database
        self._library = library
        self._context = context

    async def find(self, name: str, caller: CallContext) -> CalledDag:
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
        row = await self._database.read_inline(lambda connection: dags.get(connection, file_name))
        if row is None:
            raise SetupError(no_dag(name))
        await self._require_rights([row.dag_name], name, caller)
        return row

    async def _require_rights(self, dag_names: Sequence[str], name: str, caller: CallContext) -> None:
        run, root = caller.run, caller.run.lineage_of_children.root
        if not await self._database.read_inline(lambda connection: principals.may_call(connection, root, dag_names)):
            # The run says that there is no such DAG; those who run the server find the reason here.
            _log.warning("run %s/%s lacks the rights to call %s", run.dag_name, run.run_id, shorten(name))
            raise SetupError(no_dag(name))

    async def find_attempts(self, caller: CallContext, ids: Sequence[str]) -> dict[str, int]:
        """Return the current attempt number of each sub-run that exists, by run id."""
        root = caller.run.lineage_of_children.root
        return await self._database.read(lambda connection: runs.find_attempts(connection, root, ids))

    async def _local(self, definition: Definition, caller: CallContext) -> CalledDag:
        key, inputs = caller.run.key, caller.run.inputs
        texts = await self._database.read(lambda connection: runs.get_spec_of_run(connection, key))
        if texts is None or texts[0] is None:
            raise SetupError("the definition of the calling run was redacted")
        return CalledDag(
            definition=definition,
            spec=texts[0],
            base=texts[1] or "",
            source_directory=inputs.source_directory,
            run_as=inputs.run_as,
        )

    async def _from_files(self, name: str, directory: str, caller: CallContext) -> CalledDag:
        run_as = caller.run.inputs.run_as
        for path in _candidates(name, directory):
            try:
                with step_files(run_as or self._context.machine.account):
                    spec = path.read_text(encoding="utf-8")
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                continue
            except (OSError, ValueError) as error:
                raise SetupError(f"the called DAG {shorten(name)} could not be read: {error}") from error
            folder, stem = str(path.parent), path.stem
            of_file = await self._database.read_inline(
                lambda connection: dags.find_names_of_file(connection, folder, stem)  # noqa: B023 - awaited at once
            )
            await self._require_rights(of_file, name, caller)
            called = await self._read(spec, stem, name)
            return msgspec.structs.replace(called, source_directory=folder, run_as=run_as)
        raise SetupError(no_dag(name))

    async def _stored(self, file_name: str, name: str, caller: CallContext) -> CalledDag:
        row = await self.get_stored(file_name, name, caller)
        return msgspec.structs.replace(
            await self._read(row.spec or "", file_name, name),
            file_name=file_name,
            revision=row.revision,
            source_directory=row.source_directory,
            run_as=row.run_as,
        )

    async def _read(self, spec: str, own_name: str, name: str) -> CalledDag:
        base = self._context.read_base_config()
        loaded = await self._library.read_aside(spec, name=own_name, base=base, base_handlers=False)
        if loaded.problems or loaded.empty:
            problem = loaded.problems[0] if loaded.problems else NO_DOCUMENT
            raise SetupError(f"the called DAG {shorten(name)} is invalid: {problem}")
        return CalledDag(definition=loaded.definition, spec=spec, base=base)


def _candidates(name: str, directory: str) -> list[Path]:
    path = paths.resolve(name, base=directory, home=str(Path.home()))
    return [Path(path + suffix) for suffix in _SUFFIXES]


class SubRunCalls:
    """Plans, starts and resumes the sub-runs of the steps of one run."""

    def __init__(
        self, run: ClaimedRun, environment: RunEnvironment, called_dags: CalledDags, start_sub_runs: StartSubRuns
    ) -> None:
        self._run = run
        self._environment = environment
        self._called_dags = called_dags
        self._start_sub_runs = start_sub_runs

    async def plan(
        self, step: Step, records: NodeRecord, state: NodeState, scope: StepScope, context: StepContext
    ) -> PlannedCalls:
        """Plan the sub-runs of an execution and put their ids into the node's record.

        Raises SetupError and ExpansionError.
        """
        environment = self._environment
        directory = environment.directory_of(step)
        if step.working_dir and not await asyncio.to_thread(Path(directory).is_dir):
            raise SetupError(f"workingDir: there is no directory {directory}, which the called DAG would work in")
        name, params = await sub_run_plan.evaluate_calls(step, environment.evaluator(scope, context))
        caller = self._caller(step, records)
        called = await self._called_dags.find(name, caller)
        calls = SubRunCall(
            parent=self._run.run_id,
            step=step.name,
            called=name,
            dag_name=called.definition.dag.name,
            params=params,
        )
        record = sub_run_plan.plan_calls(sub_run_plan.read_record(records.sub_runs), state, calls)
        attempts = await self._called_dags.find_attempts(caller, [run.id for run in record.current])
        record = sub_run_plan.with_retries(record, attempts)
        records.sub_runs = msgspec.to_builtins(record)
        return PlannedCalls(record.current, self._start_sub_runs(caller, name, called))

    def resume(self, step: Step, records: NodeRecord, number: int) -> PlannedCalls | None:
        """Resume the calls that another process planned for an execution; None if they were not stored."""
        record = sub_run_plan.read_record(records.sub_runs)
        if record is None or record.execution != number:
            return None
        starter = self._start_sub_runs(self._caller(step, records), record.called, None)
        return PlannedCalls(record.current, starter)

    def start(self, step: Step, planned: PlannedCalls, files: ExecutionFiles) -> SubRunExecution:
        """Start or resume planned sub-runs."""
        parallel = step.parallel
        call = SubRunBatch(
            sub_runs=planned.sub_runs,
            each=parallel is not None,
            max_concurrent=parallel.max_concurrent if parallel else 1,
            grace_seconds=self._run.definition.dag.max_clean_up_seconds,
        )
        return SubRunExecution(call, planned.starter, Streams(files))

    def _caller(self, step: Step, records: NodeRecord) -> CallContext:
        if self._run.lineage_of_children.level >= _MAX_LEVELS:
            raise SetupError(f"the call is {_MAX_LEVELS} levels deep: does a DAG call itself without end?")
        environment = self._environment

        def add_secrets(values: Sequence[str]) -> None:
            """Mask values in this run as well, and store them with the node for a server that adopts the run."""
            new = [value for value in dict.fromkeys(values) if value not in self._run.masker.values]
            records.hidden += tuple(new)
            self._run.masker.add_secrets(new)

        return CallContext(
            run=self._run,
            directory=environment.directory_of(step),
            environ=environment.inherited_env(step),
            trace=environment.trace_of(step.name),
            add_secrets=add_secrets,
        )
