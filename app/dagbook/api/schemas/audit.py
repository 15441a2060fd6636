"""Schemas of the audit, an extension of the contract."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Schema
from dagbook.api.schemas.people import Instant


class AuditEntry(Schema, kw_only=True):
    """One audited action, carried out or refused; ``kind`` and ``object`` name its object."""

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
    """The last seal; a copy of its number and hash kept elsewhere proves later that no earlier entry was changed."""

    number: int
    hash: str
    sealed_at: Instant


class AuditEntries(Schema, kw_only=True):
    """A page of entries, newest first; ``nextBefore`` is ``before`` of the next page, and absent on the last page."""

    entries: list[AuditEntry]
    sealed_up_to: int
    next_before: int | UnsetType = UNSET
    seal: AuditSeal | UnsetType = UNSET


class PruneAudit(Schema, kw_only=True):
    """A request to delete the entries that were sealed before a time; a dry run deletes nothing."""

    before: str
    dry_run: bool = True


class PrunedAudit(Schema, kw_only=True):
    """The number of entries that were deleted, or would be, and the id of the last one; 0 when there are none."""

    entries: int
    up_to: int
    dry_run: bool
