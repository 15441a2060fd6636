"""Sub-run calls of the steps of one run: planned, or resumed after an adoption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from dagbook.engine.state import NodeState
from dagbook.executors.calls import SubRunBatch, SubRunExecution
from dagbook.executors.contract import ExecutionFiles, SetupError, Streams
from dagbook.runs.evaluate import evaluate
from dagbook.runs.evaluation import sub_run_plan
from dagbook.runs.evaluation.environment import RunEnvironment, StepContext
from dagbook.runs.evaluation.sub_run_plan import SubRunCall, SubRunRecord
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.sub_runs import MAX_LEVELS, CallContext, SubRunExecutor, SubRunService
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.spec.expansion.expand import Mode
from dagbook.spec.expansion.scope import StepScope


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

        async def evaluated(text: str, extra: Mapping[str, str]) -> str:
            extended = msgspec.structs.replace(scope, extra=extra)
            return await evaluate(environment.expander(extended, context)(text, Mode.FULL), environment.shell_context)

        self._require_directory(node)
        name, params = await sub_run_plan.evaluate_calls(node.step, evaluated)
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

    def _require_directory(self, node: NodeExecution) -> None:
        directory = self._environment.directory_of(node.step)
        if node.step.working_dir and not Path(directory).is_dir():
            raise SetupError(f"workingDir: there is no directory {directory}, which the called DAG would work in")

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


def _record(node: NodeExecution) -> SubRunRecord | None:
    return sub_run_plan.read_record(node.records.sub_runs)
