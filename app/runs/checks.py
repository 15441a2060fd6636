"""Looks at the conditions of a run and of its steps, as the engine orders, and tells the run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from app.engine import event
from app.executors import shell
from app.executors.contract import SetupError
from app.runs.conditions import Verdict, check
from app.runs.environment import Moment
from app.runs.node import NodeWork
from app.runs.nodes import RunNodes
from app.runs.run import OwnedRun
from app.runs.workshop import Desk, Workshop
from app.spec.expand import ExpansionError
from app.spec.model import Condition


class StepChecks:
    """The conditions of one run."""

    def __init__(self, run: OwnedRun, desk: Desk, workshop: Workshop, nodes: RunNodes) -> None:
        self._run = run
        self._desk = desk
        self._plan = workshop.plan
        self._environment = workshop.environment
        self._nodes = nodes

    async def conditions(self, key: int | None) -> None:
        """Look at the preconditions of the DAG or of a node and tell the run."""
        if key is None:
            verdict = await self._look(None, self._plan.dag.preconditions, Moment())
        else:
            node = self._nodes.get(key)
            # The files of its output are named when it begins (DAG format 5.9).
            moment = msgspec.structs.replace(self._nodes.moment(key), log_files={})
            verdict = await self._look(node, node.step.preconditions, moment)
        self._desk.post(event.ConditionsChecked(key=key, errors=verdict.errors, problem=verdict.problem))

    async def repeat(self, key: int, number: int) -> None:
        """Look at the repeat condition of a node and tell the run."""
        node = self._nodes.get(key)
        condition = node.step.repeat.condition if node.step.repeat else None
        met: bool | None = None
        if condition is not None:
            moment, facts = self._nodes.moment(key), node.facts
            if facts.output_name and facts.output_value is not None:
                outputs = {**moment.outputs, facts.output_name: facts.output_value}
                moment = msgspec.structs.replace(moment, outputs=outputs)
            verdict = await self._look(node, (condition,), moment)
            met = None if verdict.problem else verdict.met
        self._desk.post(event.RepeatChecked(key=key, execution=number, met=met))

    async def _look(self, node: NodeWork | None, wanted: Sequence[Condition], moment: Moment) -> Verdict:
        """Look at conditions of the DAG, where there is no node, or of a step."""
        environment = self._environment
        try:
            shell.make_directory(Path(environment.work_dir))  # they are run there, and commands inside their texts
            if node is None:
                ways = environment.ways_of_dag()
            else:
                env = await self._nodes.evaluate_env(node, self._nodes.moment(node.key))
                ways = await environment.ways_of_step(node.step, moment, env)
        except SetupError as error:
            return _undecided(wanted, f"the conditions could not be looked at: {error}")
        except ExpansionError as error:
            return _undecided(wanted, f"the shell of the step could not be evaluated: {error}")
        return await check(wanted, ways, self._run.masker.mask)


def _undecided(wanted: Sequence[Condition], problem: str) -> Verdict:
    return Verdict((problem,) * len(wanted), problem)
