"""Schemas of sources of definitions (extension of the contract)."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from dagbook.api.schemas.common import Pagination, Schema

SourceKind = Literal["directory", "git"]


class SourceProblem(Schema, kw_only=True):
    """A problem of a file; the line counts from 1, and is 0 if it is unknown."""

    line: int
    message: str


class DagSource(Schema, kw_only=True):
    """Where a stored DAG comes from; ``removedAt`` is when its file was found to be gone."""

    name: str
    path: str
    commit: str | UnsetType = UNSET
    writable: bool | UnsetType = UNSET
    problems: list[SourceProblem] | UnsetType = UNSET
    removed_at: str | UnsetType = UNSET


class SyncProgress(Schema, kw_only=True):
    """How many files of an active sync are done; the total is 0 until the files have been read."""

    done: int
    total: int


class Source(Schema, kw_only=True):
    """A source: its place, the outcome of its last sync, and the numbers of its files.

    ``problem`` is why the last sync failed as a whole; ``broken`` counts files with problems, ``removed`` those that
    are gone and have a DAG.
    """

    name: str
    kind: SourceKind
    place: str
    branch: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    writable: bool
    adopt: bool
    configured: bool
    has_hook_secret: bool
    files: int
    broken: int
    removed: int
    created_at: str
    created_by: str | UnsetType = UNSET
    synced_at: str | UnsetType = UNSET
    commit: str | UnsetType = UNSET
    problem: str | UnsetType = UNSET
    problem_at: str | UnsetType = UNSET
    syncing: SyncProgress | UnsetType = UNSET


class SourceFile(Schema, kw_only=True):
    """A file of a source, and the stored DAG that has its text, or its last text without problems."""

    path: str
    file_name: str | UnsetType = UNSET
    commit: str | UnsetType = UNSET
    changed_at: str
    problems: list[SourceProblem]
    removed_at: str | UnsetType = UNSET


class SourceDetails(Source, kw_only=True):
    """A source with a page of its files, by path."""

    sourced_files: list[SourceFile]
    pagination: Pagination


class SourcesList(Schema, kw_only=True):
    """All sources, by name."""

    sources: list[Source]


class NewSource(Schema, kw_only=True):
    """A source to add. ``credentials`` is the path of a file of the server."""

    name: str
    place: str
    branch: str | UnsetType | None = UNSET
    path: str | UnsetType | None = UNSET
    writable: bool | UnsetType = UNSET
    adopt: bool | UnsetType = UNSET
    credentials: str | UnsetType | None = UNSET
    hook_secret: str | UnsetType | None = UNSET


class Fetching(Schema, kw_only=True):
    """The name of a source whose sync was started."""

    name: str
