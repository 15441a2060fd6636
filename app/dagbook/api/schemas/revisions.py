"""The history of a definition, an extension of the contract."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Pagination, Schema


class Revision(Schema, kw_only=True):
    """One save of a DAG. The hash is that of its text as runs name it."""

    number: int
    saved_at: str
    hash: str
    author: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    redacted_at: str | UnsetType = UNSET
    redacted_by: str | UnsetType = UNSET


class RevisionText(Revision, kw_only=True):
    """One save of a DAG with its text, which is missing when it was redacted."""

    spec: str | UnsetType = UNSET


class Revisions(Schema, kw_only=True):
    """A page of a DAG's revisions, the newest first."""

    revisions: list[Revision]
    pagination: Pagination


class RevisionDiff(Schema, kw_only=True):
    """What changed from one revision to another, as a unified diff; empty when nothing did."""

    from_: int = msgspec.field(name="from")
    to: int
    diff: str


class Restore(Schema, kw_only=True):
    """How to go back to a revision."""

    note: str | UnsetType | None = UNSET


class Restored(Schema, kw_only=True):
    """The revision that was stored, or why none was."""

    errors: list[str]
    revision: int | UnsetType = UNSET
