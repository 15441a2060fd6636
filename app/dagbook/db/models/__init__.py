"""Models, one module per noun; importing this package registers all of them in the metadata."""

from __future__ import annotations

from dagbook.db.models.alert import Alert, AlertChannel, AlertDelivery, AlertEvent, AlertRule, AlertTarget
from dagbook.db.models.audit import AuditEntry, AuditSeal, Change
from dagbook.db.models.batch import Batch, BatchItem
from dagbook.db.models.definition import Dag, DagRetention, DagRevision, Definition, Removal
from dagbook.db.models.node import Approval, LogChunk, Node, Summary
from dagbook.db.models.queue import QueueEntry, QueuePause, TotalPause
from dagbook.db.models.run import Run, RunAttempt, RunError, RunEvent, RunInput, RunParam, RunRequest, RunTag, SecretUse
from dagbook.db.models.schedule import DagSetting, ScheduleMark, ScheduleSlot
from dagbook.db.models.service import Hold, Service, SshHostKey
from dagbook.db.models.source import Source, SourceFile
from dagbook.db.models.trigger import Trigger, TriggerEvent, TriggerItem
from dagbook.db.models.user import (
    DagAccess,
    Grant,
    Group,
    GroupMember,
    LoginAddress,
    LoginFailure,
    Session,
    Token,
    User,
)

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertEvent",
    "AlertRule",
    "AlertTarget",
    "Approval",
    "AuditEntry",
    "AuditSeal",
    "Batch",
    "BatchItem",
    "Change",
    "Dag",
    "DagAccess",
    "DagRetention",
    "DagRevision",
    "DagSetting",
    "Definition",
    "Grant",
    "Group",
    "GroupMember",
    "Hold",
    "LogChunk",
    "LoginAddress",
    "LoginFailure",
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
    "SecretUse",
    "Service",
    "Session",
    "Source",
    "SourceFile",
    "SshHostKey",
    "Summary",
    "Token",
    "TotalPause",
    "Trigger",
    "TriggerEvent",
    "TriggerItem",
    "User",
    "alert",
    "audit",
    "batch",
    "definition",
    "hold",
    "node",
    "queue",
    "run",
    "schedule",
    "service",
    "source",
    "trigger",
    "user",
]
