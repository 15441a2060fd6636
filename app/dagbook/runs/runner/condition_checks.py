"""Checks of preconditions and repeat conditions of one run, whose results are posted to its journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from dagbook.engine import event
from dagbook.executors import shell
from dagbook.executors.contract import SetupError
from dagbook.runs.evaluation.conditions import ConditionResult, check
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.runner.journal import Journal
from dagbook.runs.runner.nodes import NodeExecution
from dagbook.spec.expansion.expand import ExpansionError
from dagbook.spec.model import Condition


class ConditionChecker:
    """Evaluates the conditions of one run and posts the results."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._nodes = journal.nodes
        self._deps = journal.deps

    async def conditions(self, key: int | None) -> None:
        """Evaluate the preconditions of the DAG (``key`` is None) or of a node and post the result."""
        if key is None:
            result = await self._check(None, self._deps.plan.dag.preconditions, StepContext())
        else:
            node = self._nodes.get(key)
            # The variables of its output files are set only when the step starts (DAG format 5.9).
            context = msgspec.structs.replace(self._context(key), log_files={})
            result = await self._check(node, node.step.preconditions, context)
        self._journal.post(event.ConditionsChecked(key=key, errors=result.errors, problem=result.problem))

    async def repeat(self, key: int, number: int) -> None:
        """Evaluate the repeat condition of a node and post the result."""
        node = self._nodes.get(key)
        condition = node.step.repeat.condition if node.step.repeat else None
        met: bool | None = None
        if condition is not None:
            context, records = self._context(key), node.records
            if records.output_name and records.output_value is not None:
                outputs = {**context.outputs, records.output_name: records.output_value}
                context = msgspec.structs.replace(context, outputs=outputs)
            result = await self._check(node, (condition,), context)
            met = None if result.problem else result.met
        self._journal.post(event.RepeatChecked(key=key, execution=number, met=met))

    def _context(self, key: int) -> StepContext:
        return self._nodes.context_for(key, self._journal.state)

    async def _check(
        self, node: NodeExecution | None, conditions: Sequence[Condition], context: StepContext
    ) -> ConditionResult:
        """Evaluate conditions of a step, or of the DAG if ``node`` is None."""
        environment = self._deps.environment
        try:
            # The working directory of commands and substitutions.
            shell.make_directory(Path(environment.work_dir), environment.account)
            if node is None:
                evaluation = environment.condition_context_of_dag()
            else:
                env = await self._nodes.evaluate_env(node, self._context(node.key))
                evaluation = await environment.condition_context_of_step(node.step, context, env)
        except SetupError as error:
            return _undecided(conditions, f"the conditions could not be evaluated: {error}")
        except ExpansionError as error:
            return _undecided(conditions, f"the shell of the step could not be evaluated: {error}")
        return await check(conditions, evaluation, self._deps.run.masker.mask)


def _undecided(conditions: Sequence[Condition], problem: str) -> ConditionResult:
    return ConditionResult((problem,) * len(conditions), problem)
