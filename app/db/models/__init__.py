"""One file per noun; every model is named here, so that importing this package fills the metadata."""

from __future__ import annotations

from app.db.models.audit import AuditEntry, AuditSeal
from app.db.models.change import Change
from app.db.models.definition import Dag, DagRevision, Definition
from app.db.models.log import LogChunk
from app.db.models.node import Node
from app.db.models.queue import QueueEntry, QueuePause
from app.db.models.retention import DagRetention, Removal
from app.db.models.run import Run, RunAttempt, RunEvent, RunInput, RunRequest
from app.db.models.schedule import DagSetting, ScheduleMark, ScheduleSlot
from app.db.models.search import RunError, RunParam, RunTag
from app.db.models.service import Service
from app.db.models.user import Token, User

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
