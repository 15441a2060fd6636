"""Schemas of a DAG's revisions, an extension of the contract."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Pagination, Schema


class Revision(Schema, kw_only=True):
    """One revision of a DAG; ``hash`` is the hash of its text, by which runs refer to it."""

    number: int
    saved_at: str
    hash: str
    author: str | UnsetType = UNSET
    note: str | UnsetType = UNSET
    redacted_at: str | UnsetType = UNSET
    redacted_by: str | UnsetType = UNSET


class RevisionText(Revision, kw_only=True):
    """One revision of a DAG with its text, which is absent when it was redacted."""

    spec: str | UnsetType = UNSET


class Revisions(Schema, kw_only=True):
    """A page of a DAG's revisions, newest first."""

    revisions: list[Revision]
    pagination: Pagination


class RevisionDiff(Schema, kw_only=True):
    """The unified diff of two revisions; empty when their texts are equal."""

    from_: int = msgspec.field(name="from")
    to: int
    diff: str


class Restore(Schema, kw_only=True):
    """Options for restoring a revision."""

    note: str | UnsetType | None = UNSET


class Restored(Schema, kw_only=True):
    """The new revision, or the problems why none was saved."""

    errors: list[str]
    revision: int | UnsetType = UNSET
