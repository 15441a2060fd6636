"""Looks at the conditions of a run and of its steps, as the engine orders, and tells the run."""

from __future__ import annotations

import msgspec

from app.engine import event
from app.executors import shell
from app.runs import conditions
from app.runs.nodes import RunNodes
from app.runs.run import OwnedRun
from app.runs.workshop import Desk, Workshop


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
            wanted, expander = self._plan.dag.preconditions, self._environment.dag_expander()
            around = self._environment.surroundings(self._environment.shell)
        else:
            step = self._plan.step(key)
            moment = self._nodes.moment(key)
            scope = self._environment.scope(step.name, moment, cwd=self._environment.directory_of(step))
            wanted, expander = step.preconditions, self._environment.expander(scope, moment)
            around = self._environment.surroundings(step.shell or self._environment.shell)
        shell.make_directory(around.cwd)
        verdict = await conditions.check(wanted, expander, around, self._run.masker.mask)
        self._desk.post(event.ConditionsChecked(key=key, errors=verdict.errors, problem=verdict.problem))

    async def repeat(self, key: int, number: int) -> None:
        """Look at the repeat condition of a node and tell the run."""
        step = self._plan.step(key)
        condition = step.repeat.condition if step.repeat else None
        met: bool | None = None
        if condition is not None:
            moment = self._nodes.moment(key)
            facts = self._nodes.get(key).facts
            if facts.output_name and facts.output_value is not None:
                outputs = {**moment.outputs, facts.output_name: facts.output_value}
                moment = msgspec.structs.replace(moment, outputs=outputs)
            environment = self._environment
            scope = environment.scope(step.name, moment, cwd=environment.directory_of(step))
            around = environment.surroundings(step.shell or environment.shell)
            verdict = await conditions.check(
                (condition,), environment.expander(scope, moment), around, self._run.masker.mask
            )
            met = None if verdict.problem else verdict.met
        self._desk.post(event.RepeatChecked(key=key, execution=number, met=met))
