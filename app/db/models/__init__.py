"""One file per noun; every model is named here, so that importing this package fills the metadata."""

from __future__ import annotations

from app.db.models.definition import Dag, DagRevision, Definition
from app.db.models.log import LogChunk
from app.db.models.node import Node
from app.db.models.queue import QueueEntry
from app.db.models.retention import DagRetention, Removal
from app.db.models.run import Run, RunAttempt, RunEvent, RunInput, RunRequest
from app.db.models.service import Service
from app.db.models.user import Token, User

__all__ = [
    "Dag",
    "DagRetention",
    "DagRevision",
    "Definition",
    "LogChunk",
    "Node",
    "QueueEntry",
    "Removal",
    "Run",
    "RunAttempt",
    "RunEvent",
    "RunInput",
    "RunRequest",
    "Service",
    "Token",
    "User",
]
