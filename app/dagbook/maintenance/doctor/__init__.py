"""What must hold in the database at every deadline, as queries that find nothing while it does.

Each counts on one state of the database, seen in one transaction: what a commit changes together never disagrees.
"""

from __future__ import annotations

from dagbook.maintenance.doctor import definitions, history, logs, nodes, queues, references, runs, schedules
from dagbook.maintenance.doctor.check import Check

CHECKS: tuple[Check, ...] = (
    *runs.CHECKS,
    *nodes.CHECKS,
    *history.CHECKS,
    *logs.CHECKS,
    *queues.CHECKS,
    *schedules.CHECKS,
    *definitions.CHECKS,
    *references.CHECKS,
)

__all__ = ["CHECKS", "Check"]
