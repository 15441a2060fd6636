"""The nodes of one run in this process, and what each of them sees of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from app.engine.state import NodeState
from app.runs.environment import Moment
from app.runs.node import NodeWork
from app.runs.rows import NodeFacts
from app.runs.run import OwnedRun
from app.runs.workshop import Desk, Workshop
from app.spec import references
from app.spec.expand import StepFacts
from app.spec.model import Pair


class RunNodes:
    """What is kept of a run's nodes beside the engine's state."""

    def __init__(self, run: OwnedRun, desk: Desk, workshop: Workshop, facts: Mapping[int, NodeFacts]) -> None:
        self._run = run
        self._desk = desk
        self._plan = workshop.plan
        self._environment = workshop.environment
        self._files = workshop.files
        self._facts = facts
        self._nodes: dict[int, NodeWork] = {}
        self._gives_outputs = any(step.output for step in workshop.plan.dag.steps)
        self._with_id = [(key, step) for key, step in enumerate(workshop.plan.dag.steps) if step.id]

    def get(self, key: int) -> NodeWork:
        """Return what is kept of a node."""
        if key not in self._nodes:
            facts = self._facts.get(key) or NodeFacts()
            encoding = self._environment.encoding
            self._nodes[key] = NodeWork(key, self._plan.step(key), self._files, facts, self._run.masker, encoding)
        return self._nodes[key]

    async def evaluate_env(
        self, node: NodeWork, moment: Moment, committed: asyncio.Event | None = None
    ) -> tuple[Pair, ...]:
        """Evaluate a node's own variables, once for its conditions and all its executions."""
        if node.env is None:
            cwd = self._environment.directory_of(node.step)
            node.env = await self._environment.evaluate_step_env(node.step, moment, cwd, committed)
        return node.env

    def state(self, key: int) -> NodeState:
        """Return the engine's state of a node."""
        state = self._desk.state
        return state.handlers[key] if key < 0 else state.steps[key]

    def close(self) -> None:
        """Release the files of all nodes."""
        for node in self._nodes.values():
            node.close()

    def remove_files(self) -> None:
        """Remove the files of all nodes; everything in them is stored."""
        for key, node in self._nodes.items():
            node.remove(self.state(key).execution)

    def moment(self, key: int) -> Moment:
        """Tell what of the run has happened as a node sees it."""
        node = self.get(key)
        state = self._desk.state
        outcome = state.outcome or state.status
        return Moment(
            outputs=self._outputs(key),
            steps=self._step_facts(),
            handler_status=outcome.label if key < 0 else "",
            log_files={
                "DAG_RUN_STEP_STDOUT_FILE": str(node.stdout),
                "DAG_RUN_STEP_STDERR_FILE": str(node.stderr),
            },
        )

    def _outputs(self, key: int) -> dict[str, str]:
        """Gather the outputs a node sees: of its ancestors, the nearest first; a handler sees those of all steps."""
        steps = self._plan.dag.steps
        if not self._gives_outputs:
            return {}
        sources = range(len(steps)) if key < 0 else references.visible_outputs(steps, key)
        found: dict[str, str] = {}
        for source in sources:
            facts = self._known_facts(source)
            if facts is not None and facts.output_name and facts.output_value is not None:
                found.setdefault(facts.output_name, facts.output_value)
        return found

    def _known_facts(self, key: int) -> NodeFacts | None:
        return self._nodes[key].facts if key in self._nodes else self._facts.get(key)

    def _step_facts(self) -> dict[str, StepFacts]:
        facts = {}
        for key, step in self._with_id:
            state = self._desk.state.steps[key]
            begun = state.execution > 0
            node = self.get(key) if begun else None
            facts[step.id] = StepFacts(
                stdout=str(node.stdout) if node else "",
                stderr=str(node.stderr) if node else "",
                exit_code=state.exit_code,
            )
        return facts
