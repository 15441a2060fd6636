"""Who did what, an extension of the contract."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.people import Instant


class AuditEntry(Schema, kw_only=True):
    """One thing that somebody did, or was refused. ``kind`` and ``object`` say to what."""

    id: int
    at: Instant
    via: str
    action: str
    kind: str
    object: str
    outcome: str
    actor: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET
    token_id: str | UnsetType = UNSET
    token_name: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    before: dict[str, Any] | UnsetType = UNSET
    after: dict[str, Any] | UnsetType = UNSET


class AuditSeal(Schema, kw_only=True):
    """The last seal; whoever notes number and hash elsewhere can prove later that nothing before it was changed."""

    number: int
    hash: str
    sealed_at: Instant


class AuditEntries(Schema, kw_only=True):
    """A page of entries, the newest first. ``nextBefore`` leads to the next page and is missing on the last."""

    entries: list[AuditEntry]
    sealed_up_to: int
    next_before: int | UnsetType = UNSET
    seal: AuditSeal | UnsetType = UNSET


class PruneAudit(Schema, kw_only=True):
    """Which entries are to go: those that were sealed before a time. A dry run removes nothing."""

    before: str
    dry_run: bool = True


class PrunedAudit(Schema, kw_only=True):
    """How many entries went, or would, and the id of the last one, which is 0 when there are none."""

    entries: int
    up_to: int
    dry_run: bool
