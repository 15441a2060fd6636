"""Looks at the conditions of a run and of its steps, as the engine orders, and tells the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dagbook.engine import event
from dagbook.executors import shell
from dagbook.executors.contract import SetupError
from dagbook.runs.evaluation.conditions import ConditionResult, check
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.node_registry import NodeRegistry
from dagbook.runs.runner.runner_deps import RunnerDeps, RunnerPort
from dagbook.runs.store.claimed_run import ClaimedRun
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Condition


class ConditionChecker:
    """The conditions of one run."""

    def __init__(self, run: ClaimedRun, runner: RunnerPort, deps: RunnerDeps, nodes: NodeRegistry) -> None:
        self._run = run
        self._runner = runner
        self._plan = deps.plan
        self._environment = deps.environment
        self._nodes = nodes

    async def conditions(self, key: int | None) -> None:
        """Look at the preconditions of the DAG or of a node and tell the run."""
        if key is None:
            verdict = await self._check(None, self._plan.dag.preconditions, StepContext())
        else:
            node = self._nodes.get(key)
            # The files of its output are named when it begins (DAG format 5.9).
            context = msgspec.structs.replace(self._nodes.context_for(key), log_files={})
            verdict = await self._check(node, node.step.preconditions, context)
        self._runner.post(event.ConditionsChecked(key=key, errors=verdict.errors, problem=verdict.problem))

    async def repeat(self, key: int, number: int) -> None:
        """Look at the repeat condition of a node and tell the run."""
        node = self._nodes.get(key)
        condition = node.step.repeat.condition if node.step.repeat else None
        met: bool | None = None
        if condition is not None:
            context, records = self._nodes.context_for(key), node.records
            if records.output_name and records.output_value is not None:
                outputs = {**context.outputs, records.output_name: records.output_value}
                context = msgspec.structs.replace(context, outputs=outputs)
            verdict = await self._check(node, (condition,), context)
            met = None if verdict.problem else verdict.met
        self._runner.post(event.RepeatChecked(key=key, execution=number, met=met))

    async def _check(
        self, node: NodeExecution | None, wanted: Sequence[Condition], context: StepContext
    ) -> ConditionResult:
        """Look at conditions of the DAG, where there is no node, or of a step."""
        environment = self._environment
        try:
            shell.make_directory(Path(environment.work_dir))  # they are run there, and commands inside their texts
            if node is None:
                evaluation = environment.condition_context_of_dag()
            else:
                env = await self._nodes.evaluate_env(node, self._nodes.context_for(node.key))
                evaluation = await environment.condition_context_of_step(node.step, context, env)
        except SetupError as error:
            return _undecided(wanted, f"the conditions could not be looked at: {error}")
        except ExpansionError as error:
            return _undecided(wanted, f"the shell of the step could not be evaluated: {error}")
        return await check(wanted, evaluation, self._run.masker.mask)


def _undecided(wanted: Sequence[Condition], problem: str) -> ConditionResult:
    return ConditionResult((problem,) * len(wanted), problem)
