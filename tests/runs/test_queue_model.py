"""Runs and queues do what a small model of them says, whatever is asked of them (promises R12)."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from dagbook.db.database import Database
from tests.runs.queue_model import QueueMachine
from tests.runs.scene import register

EXAMPLES, STEPS = 6, 40  # scripts/measuring/queue-model takes more


def compare_with_model(url: str, examples: int, steps: int) -> None:
    """Try so many sequences of so many steps on one database."""
    with asyncio.Runner() as runner:
        database = runner.run(Database.open(url))
        runner.run(register(database))
        machine = type("Machine", (QueueMachine,), {"database": database, "wait": staticmethod(runner.run)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())


def test_runs_and_queues_do_what_the_model_says(database_url: str) -> None:
    compare_with_model(database_url, EXAMPLES, STEPS)
