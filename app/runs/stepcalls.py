"""The calls of one run's steps: planned and stored by name, or taken up where another server left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from app.engine.state import NodeState
from app.executors.calls import SubRunBatch, SubRunExecution
from app.executors.contract import ExecutionFiles, SetupError, Streams
from app.runs import calling
from app.runs.calling import CallRecord, Calls
from app.runs.children import MOST_LEVELS, Caller, Exchange, SubRuns
from app.runs.environment import Moment, RunEnvironment
from app.runs.evaluation import evaluate
from app.runs.node import NodeWork
from app.runs.run import OwnedRun
from app.spec.expand import Mode
from app.spec.scope import StepScope


class StepCalls:
    """What the steps of one run call."""

    def __init__(self, run: OwnedRun, environment: RunEnvironment, exchange: Exchange) -> None:
        self._run = run
        self._environment = environment
        self._exchange = exchange

    async def plan(self, node: NodeWork, state: NodeState, scope: StepScope, moment: Moment) -> SubRuns:
        """Name the runs of an execution in the node's facts; raises SetupError, ExpansionError."""
        environment = self._environment

        async def evaluated(text: str, extra: Mapping[str, str]) -> str:
            seen = msgspec.structs.replace(scope, extra=extra)
            return await evaluate(environment.expander(seen, moment)(text, Mode.FULL), environment.surroundings)

        self._require_directory(node)
        name, params = await calling.evaluate_calls(node.step, evaluated)
        caller = self._caller(node)
        callee = await self._exchange.find_callee(name, caller)
        calls = Calls(
            parent=self._run.run_id,
            step=node.step.name,
            called=name,
            dag_name=callee.definition.dag.name,
            params=params,
        )
        record = calling.plan_calls(_record(node), state, calls)
        attempts = await self._exchange.find_attempts(caller, [run.id for run in record.current])
        node.facts.sub_runs = msgspec.to_builtins(calling.after(record, attempts))
        return SubRuns(self._exchange, caller, name, callee)

    def _require_directory(self, node: NodeWork) -> None:
        directory = self._environment.directory_of(node.step)
        if node.step.working_dir and not Path(directory).is_dir():
            raise SetupError(f"workingDir: there is no directory {directory}, which the called DAG would work in")

    def take_up(self, node: NodeWork, number: int) -> SubRuns | None:
        """Go on with what another server planned for an execution; None when it had not come to that."""
        record = _record(node)
        if record is None or record.execution != number:
            return None
        return SubRuns(self._exchange, self._caller(node), record.called)

    def begin(self, node: NodeWork, sub_runs: SubRuns, files: ExecutionFiles) -> SubRunExecution:
        """Begin, or go on with, the runs that the node's facts name."""
        record, parallel = _record(node), node.step.parallel
        assert record is not None  # noqa: S101 - planned before
        call = SubRunBatch(
            sub_runs=record.current,
            each=parallel is not None,
            max_concurrent=parallel.max_concurrent if parallel else 1,
            grace_seconds=self._run.definition.dag.max_clean_up_seconds,
        )
        return SubRunExecution(call, sub_runs, Streams(files))

    def _caller(self, node: NodeWork) -> Caller:
        if self._run.family.level >= MOST_LEVELS:
            raise SetupError(f"the call is {MOST_LEVELS} levels deep: does a DAG call itself without end?")
        environment = self._environment

        def learn(values: Sequence[str]) -> None:
            """Hide values here too, and remember them with the node, for whoever takes the run over."""
            new = [value for value in dict.fromkeys(values) if value not in self._run.masker.values]
            node.facts.hidden += tuple(new)
            self._run.masker.learn(new)

        return Caller(
            run=self._run,
            directory=environment.directory_of(node.step),
            environ=environment.handed_on(),
            learn=learn,
        )


def _record(node: NodeWork) -> CallRecord | None:
    return calling.read_record(node.facts.sub_runs)
