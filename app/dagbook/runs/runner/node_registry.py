"""Registry of the nodes of one run, and the context that each node sees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from dagbook.engine.event import WAIT
from dagbook.engine.state import NodeState
from dagbook.runs.evaluation.environment import StepContext
from dagbook.runs.model import ClaimedRun
from dagbook.runs.runner.gates import given_values
from dagbook.runs.runner.node_execution import NodeExecution
from dagbook.runs.runner.runner_deps import RunnerDeps, RunnerPort
from dagbook.runs.store.row_mapping import NodeRecord
from dagbook.spec.expansion import scope
from dagbook.spec.expansion.expand import StepFacts
from dagbook.spec.model import Pair


class NodeRegistry:
    """Node executions of one run, by key."""

    def __init__(
        self, run: ClaimedRun, runner: RunnerPort, deps: RunnerDeps, records: Mapping[int, NodeRecord]
    ) -> None:
        self._run = run
        self._runner = runner
        self._plan = deps.plan
        self._environment = deps.environment
        self._files = deps.files
        self._records = records
        self._nodes: dict[int, NodeExecution] = {}
        self._has_outputs = bool(deps.plan.gates) or any(step.output for step in deps.plan.dag.steps)
        self._with_id = [(key, step) for key, step in enumerate(deps.plan.dag.steps) if step.id]

    def get(self, key: int) -> NodeExecution:
        """Return the execution of a node, made at the first call."""
        if key not in self._nodes:
            records = self._records.get(key) or NodeRecord()
            encoding = self._environment.encoding
            self._nodes[key] = NodeExecution(
                key, self._plan.step(key), self._files, records, self._run.masker, encoding
            )
        return self._nodes[key]

    async def evaluate_env(
        self, node: NodeExecution, context: StepContext, committed: asyncio.Event | None = None
    ) -> tuple[Pair, ...]:
        """Evaluate the variables of a node, once for its conditions and all its executions."""
        if node.env is None:
            cwd = self._environment.directory_of(node.step)
            node.env = await self._environment.evaluate_step_env(node.step, context, cwd, committed)
        return node.env

    def state(self, key: int) -> NodeState:
        """Return the engine state of a node."""
        state = self._runner.state
        return state.handlers[key] if key < 0 else state.steps[key]

    def close(self) -> None:
        """Close the files of all nodes."""
        for node in self._nodes.values():
            node.close()

    def remove_files(self) -> None:
        """Remove the files of all nodes; their contents are stored."""
        for key, node in self._nodes.items():
            node.remove(self.state(key).execution)

    def context_for(self, key: int) -> StepContext:
        """Return the outputs, step records and log files that a node sees now."""
        node = self.get(key)
        state = self._runner.state
        outcome = state.outcome or state.status
        waiting = [at for at, each in enumerate(state.steps) if key == WAIT and self._plan.is_open_gate(at, each)]
        return StepContext(
            outputs=self._outputs(key),
            steps=self._step_records(),
            handler_status="waiting" if key == WAIT else outcome.label if key < 0 else "",
            waiting_steps=",".join(self._plan.step(each).name for each in waiting),
            log_files={
                "DAG_RUN_STEP_STDOUT_FILE": str(node.stdout),
                "DAG_RUN_STEP_STDERR_FILE": str(node.stderr),
            },
        )

    def _outputs(self, key: int) -> dict[str, str]:
        """Collect the outputs a node sees: those of its ancestors, nearest first; a handler sees those of all steps."""
        steps = self._plan.dag.steps
        if not self._has_outputs:
            return {}
        sources = range(len(steps)) if key < 0 else scope.visible_outputs(steps, key)
        found: dict[str, str] = {}
        for source in sources:
            records = self._nodes[source].records if source in self._nodes else self._records.get(source)
            if records is not None and records.output_name and records.output_value is not None:
                found.setdefault(records.output_name, records.output_value)
            for name, value in given_values(records.approval if records is not None else None).items():
                found.setdefault(name, value)
        return found

    def _step_records(self) -> dict[str, StepFacts]:
        records = {}
        for key, step in self._with_id:
            state = self._runner.state.steps[key]
            node = self.get(key) if state.execution > 0 else None
            records[step.id] = StepFacts(
                stdout=str(node.stdout) if node else "",
                stderr=str(node.stderr) if node else "",
                exit_code=state.exit_code,
            )
        return records
