"""Models, one module per noun; importing this package registers all of them in the metadata."""

from __future__ import annotations

from dagbook.db.models.audit import AuditEntry, AuditSeal
from dagbook.db.models.change import Change
from dagbook.db.models.definition import Dag, DagRevision, Definition
from dagbook.db.models.log import LogChunk
from dagbook.db.models.node import Node
from dagbook.db.models.queue import QueueEntry, QueuePause
from dagbook.db.models.retention import DagRetention, Removal
from dagbook.db.models.run import Run, RunAttempt, RunEvent, RunInput, RunRequest
from dagbook.db.models.schedule import DagSetting, ScheduleMark, ScheduleSlot
from dagbook.db.models.search import RunError, RunParam, RunTag
from dagbook.db.models.service import Service
from dagbook.db.models.user import Token, User

__all__ = [
    "AuditEntry",
    "AuditSeal",
    "Change",
    "Dag",
    "DagRetention",
    "DagRevision",
    "DagSetting",
    "Definition",
    "LogChunk",
    "Node",
    "QueueEntry",
    "QueuePause",
    "Removal",
    "Run",
    "RunAttempt",
    "RunError",
    "RunEvent",
    "RunInput",
    "RunParam",
    "RunRequest",
    "RunTag",
    "ScheduleMark",
    "ScheduleSlot",
    "Service",
    "Token",
    "User",
]
