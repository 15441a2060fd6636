"""What must hold in the database at every deadline, as queries that find nothing while it does.

Each counts on one state of the database, seen in one transaction: what a commit changes together never disagrees.
"""

from __future__ import annotations

from dagbook.maintenance.doctor import definitions, nodes, runs
from dagbook.maintenance.doctor.check import Check

CHECKS: tuple[Check, ...] = (
    *runs.CHECKS,
    *nodes.CHECKS,
    *runs.HISTORY_CHECKS,
    *nodes.LOG_CHECKS,
    *runs.QUEUE_CHECKS,
    *definitions.SCHEDULE_CHECKS,
    *definitions.CHECKS,
    *definitions.REFERENCE_CHECKS,
)

__all__ = ["CHECKS", "Check", "doctor"]
