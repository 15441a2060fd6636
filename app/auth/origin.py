"""Who is behind a change, and what was done, as the audit names them. It knows neither HTTP nor rows."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import msgspec

from app.telemetry.request import request_id

Outcome = Literal["done", "refused", "failed"]

_LONGEST = 200


class Action(StrEnum):
    """Everything that the audit tells of; docs/audit.md has a line for each."""

    DAG_CREATE = "dag.create"
    DAG_UPDATE = "dag.update"
    DAG_RESTORE = "dag.restore"
    DAG_REDACT = "dag.redact"
    DAG_RENAME = "dag.rename"
    DAG_SUSPEND = "dag.suspend"
    DAG_SETTINGS = "dag.settings"
    DAG_RETENTION = "dag.retention"
    DAG_DELETE = "dag.delete"
    RUN_START = "run.start"
    RUN_ENQUEUE = "run.enqueue"
    RUN_DEQUEUE = "run.dequeue"
    RUN_STOP = "run.stop"
    RUN_RETRY = "run.retry"
    RUN_RESCHEDULE = "run.reschedule"
    RUN_STEP_STATUS = "run.step_status"
    RUN_CLEANUP = "run.cleanup"
    QUEUE_PAUSE = "queue.pause"
    QUEUE_RESUME = "queue.resume"
    QUEUE_MOVE = "queue.move"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DELETE = "user.delete"
    USER_PASSWORD_CHANGE = "user.password_change"  # noqa: S105 - a name of an action
    USER_PASSWORD_RESET = "user.password_reset"  # noqa: S105 - a name of an action
    TOKEN_CREATE = "token.create"  # noqa: S105 - a name of an action
    TOKEN_DELETE = "token.delete"  # noqa: S105 - a name of an action
    LOGIN_SUCCESS = "login.success"
    LOGIN_FAILURE = "login.failure"
    AUDIT_PRUNE = "audit.prune"
    REQUEST_REFUSE = "request.refuse"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, or not: to what, and what changed in it. No secrets and no whole texts belong in here."""

    action: Action
    kind: str
    name: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    outcome: Outcome = "done"


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Who is behind a change: by name, by which way that is known, through which token, from where."""

    via: str
    actor: str | None = None
    user_id: str | None = None
    token_id: str | None = None
    token_name: str | None = None
    address: str = ""
    request_id: str = msgspec.field(default_factory=request_id.get)

    @property
    def label(self) -> str | None:
        """The actor as histories name it."""
        return f"{self.actor} (token {self.token_name})" if self.token_name is not None else self.actor

    def entry(self, deed: Deed, at: datetime) -> dict[str, Any]:
        """Make an entry of the audit."""
        return {
            "at": at,
            **{name: _plain(value) for name, value in msgspec.structs.asdict(self).items()},
            "action": str(deed.action),
            "kind": deed.kind,
            "name": _plain(deed.name),
            "before": deed.before,
            "after": deed.after,
            "outcome": deed.outcome,
        }


NOBODY = Origin(via="none", request_id="")


def user_name(uid: int) -> str:
    """Return the name of a user of the operating system, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def of_this_process() -> Origin:
    """Say that the user whose process this is does something without asking a server."""
    return Origin(via="cli", actor=user_name(os.getuid()))


def dag_deed(action: Action, file_name: str, before: Any = None, after: Any = None) -> Deed:
    """Say what was done to a stored DAG."""
    return Deed(action=action, kind="dag", name=file_name, before=before, after=after)


def run_deed(action: Action, run: Mapping[str, Any], before: Any = None, after: Any = None) -> Deed:
    """Say what was done to a run, given its row."""
    return Deed(action=action, kind="run", name=f"{run['dag_name']}/{run['run_id']}", before=before, after=after)


def user_deed(action: Action, username: str, before: Any = None, after: Any = None) -> Deed:
    """Say what was done to a user."""
    return Deed(action=action, kind="user", name=username, before=before, after=after)


def _plain(text: str | None) -> str | None:
    """Make what comes from outside fit to be stored: not endless, and without NUL, which PostgreSQL refuses."""
    if text is None:
        return None
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
