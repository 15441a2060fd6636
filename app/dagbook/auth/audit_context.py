"""Callers, actors and audited actions. No HTTP, no rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

import msgspec

from dagbook.audit_entry import NewAuditEntry
from dagbook.auth.roles import Role, Scope
from dagbook.telemetry.logging import request_id
from dagbook.unix.unix_accounts import account_name

Outcome = Literal["done", "refused", "failed"]
Values = Mapping[str, object] | None  # what a change was from or to
Via = Literal["none", "local", "basic", "token", "oidc", "login", "personal", "hook"]
_LONGEST = 200


class Action(StrEnum):
    """All audited actions; docs/how-to/audit.md has a line for each."""

    DAG_CREATE = "dag.create"
    DAG_UPDATE = "dag.update"
    DAG_RESTORE = "dag.restore"
    DAG_REDACT = "dag.redact"
    DAG_RENAME = "dag.rename"
    DAG_SUSPEND = "dag.suspend"
    DAG_SETTINGS = "dag.settings"
    DAG_RUN_AS = "dag.run_as"
    DAG_RETENTION = "dag.retention"
    DAG_DELETE = "dag.delete"
    SOURCE_CREATE = "source.create"
    SOURCE_UPDATE = "source.update"
    SOURCE_DELETE = "source.delete"
    SOURCE_SYNC = "source.sync"
    SOURCE_FETCH = "source.fetch"
    RUN_START = "run.start"
    RUN_ENQUEUE = "run.enqueue"
    RUN_DEQUEUE = "run.dequeue"
    RUN_STOP = "run.stop"
    RUN_RETRY = "run.retry"
    RUN_RESCHEDULE = "run.reschedule"
    RUN_STEP_STATUS = "run.step_status"
    RUN_APPROVE = "run.approve"
    RUN_REJECT = "run.reject"
    RUN_DELETE = "run.delete"
    RUN_CLEANUP = "run.cleanup"
    QUEUE_PAUSE = "queue.pause"
    QUEUE_RESUME = "queue.resume"
    QUEUE_MOVE = "queue.move"
    PAUSE_SET = "pause.set"
    PAUSE_END = "pause.end"
    USER_CREATE = "user.create"
    USER_UPDATE = "user.update"
    USER_DELETE = "user.delete"
    USER_PASSWORD_CHANGE = "user.password_change"  # noqa: S105 - a name of an action
    GROUP_CREATE = "group.create"
    GROUP_UPDATE = "group.update"
    GROUP_DELETE = "group.delete"
    GROUP_JOIN = "group.join"
    GROUP_LEAVE = "group.leave"
    GRANT_CREATE = "grant.create"
    GRANT_UPDATE = "grant.update"
    GRANT_DELETE = "grant.delete"
    USER_PASSWORD_RESET = "user.password_reset"  # noqa: S105 - a name of an action
    SESSION_END = "session.end"
    TOKEN_CREATE = "token.create"  # noqa: S105 - a name of an action
    TOKEN_DELETE = "token.delete"  # noqa: S105 - a name of an action
    SECRET_READ = "secret.read"  # noqa: S105 - a name of an action
    SECRET_REKEY = "secret.rekey"  # noqa: S105 - a name of an action
    TOKEN_REFUSE = "token.refuse"  # noqa: S105 - a name of an action
    LOGIN_SUCCESS = "login.success"
    LOGIN_FAILURE = "login.failure"
    LOGOUT = "logout"
    ALERT_CHANNEL_CREATE = "alert_channel.create"
    ALERT_CHANNEL_UPDATE = "alert_channel.update"
    ALERT_CHANNEL_DELETE = "alert_channel.delete"
    ALERT_RULE_CREATE = "alert_rule.create"
    ALERT_RULE_UPDATE = "alert_rule.update"
    ALERT_RULE_DELETE = "alert_rule.delete"
    ALERT_ACKNOWLEDGE = "alert.acknowledge"
    ALERT_RESEND = "alert.resend"
    ALERT_TEST = "alert.test"
    TRIGGER_CREATE = "trigger.create"
    TRIGGER_UPDATE = "trigger.update"
    TRIGGER_DELETE = "trigger.delete"
    TRIGGER_PAUSE = "trigger.pause"
    TRIGGER_RESUME = "trigger.resume"
    TRIGGER_REPLAY = "trigger.replay"
    TRIGGER_DISCARD = "trigger.discard"
    TRIGGER_SECRET = "trigger.secret"  # noqa: S105 - a name of an action
    BATCH_CREATE = "batch.create"
    BATCH_PAUSE = "batch.pause"
    BATCH_RESUME = "batch.resume"
    BATCH_CANCEL = "batch.cancel"
    BATCH_RETRY = "batch.retry"
    AUDIT_PRUNE = "audit.prune"
    DATABASE_RESTORE = "database.restore"
    DATABASE_RESUME = "database.resume"
    IMPORT_START = "import.start"
    IMPORT_FINISH = "import.finish"
    REQUEST_REFUSE = "request.refuse"


class AuditAction(msgspec.Struct, frozen=True, kw_only=True):
    """An audited action, done or not: its object and what changed. Contains no secrets and no complete texts."""

    action: Action
    kind: str
    name: str
    before: Values = None
    after: Values = None
    outcome: Outcome = "done"


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """The actor of a change: name, means of authentication, token and address. The fields are columns of the audit."""

    via: str
    actor: str | None = None
    user_id: str | None = None
    token_id: str | None = None
    token_name: str | None = None
    address: str = ""
    request_id: str = msgspec.field(default_factory=request_id.get)

    @property
    def label(self) -> str | None:
        """The actor's name in histories."""
        return f"{self.actor} (token {self.token_name})" if self.token_name is not None else self.actor

    def entry(self, audit_action: AuditAction, at: datetime) -> NewAuditEntry:
        """Return the audit entry of an action."""
        columns = {**msgspec.structs.asdict(self), **msgspec.structs.asdict(audit_action)}
        for name, value in columns.items():
            if isinstance(value, str):
                # Untrusted text is shortened, and has no NUL, which PostgreSQL refuses.
                text = value.replace("\0", "\N{REPLACEMENT CHARACTER}")
                columns[name] = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        return msgspec.convert({"at": at, **columns}, NewAuditEntry)


ANONYMOUS = Actor(via="none", request_id="")


class NamedRun(Protocol):
    """Anything with the names of a run."""

    @property
    def dag_name(self) -> str: ...
    @property
    def run_id(self) -> str: ...


def local_actor() -> Actor:
    """Return the operating system's user of this process as actor, for commands without a server."""
    return Actor(via="cli", actor=account_name(os.getuid()))


def dag_action(action: Action, file_name: str, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="dag", name=file_name, before=before, after=after)


def run_action(action: Action, run: NamedRun, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="run", name=f"{run.dag_name}/{run.run_id}", before=before, after=after)


def user_action(action: Action, username: str, before: Values = None, after: Values = None) -> AuditAction:
    return AuditAction(action=action, kind="user", name=username, before=before, after=after)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """The sender of a request: identity, role and credential.

    ``name`` is None without authentication; ``role`` is None without users. A user who changes the password keeps the
    session or personal token in use. ``proof`` is what a page of this server sends beside the cookie of its session.

    With a ``visibility`` the DAGs that are granted to one of each set of subjects count alone, in the lower role of the
    grant and ``ceiling``; elsewhere the caller is a viewer.
    """

    via: Via
    name: str | None = None
    role: Role | None = None
    user_id: str | None = None
    token_id: str | None = None
    token_name: str | None = None
    session_id: str | None = None
    logged_in_at: datetime | None = None
    proof: str | None = None
    scopes: frozenset[Scope] | None = None  # of a token that names some; without, all but ``admin``
    is_limited: bool = False  # a token for some DAGs alone
    address: str = ""
    may_write: bool = False  # definitions
    visibility: tuple[tuple[str, ...], ...] = ()
    ceiling: Role = Role.MANAGER

    @property
    def actor(self) -> Actor:
        """The actor of audit entries; only commands are local."""
        return Actor(
            via="cli" if self.via == "local" else self.via,
            actor=self.name,
            user_id=self.user_id,
            token_id=self.token_id,
            token_name=self.token_name,
            address=self.address,
        )

    @property
    def actor_label(self) -> str | None:
        """The actor's name in histories."""
        return self.actor.label
