"""Sources, their files, and where DAGs come from: rows to schemas. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import msgspec
from msgspec import UNSET, UnsetType

from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.schemas.common import Pagination
from dagbook.api.schemas.sources import DagSource, Source, SourceDetails, SourceFile, SourceProblem, SyncProgress
from dagbook.db.repositories.sources import GIT, DagOrigin, FileProblem, SourceFileRow
from dagbook.sources.service import SourceStatus


def present_source(status: SourceStatus, zone: tzinfo) -> Source:
    """Return a source as clients see it."""
    row, counts, progress = status.row, status.counts, status.progress
    return Source(
        name=row.name,
        kind="git" if row.kind == GIT else "directory",
        place=row.place,
        branch=or_unset(row.branch),
        path=or_unset(row.path),
        writable=row.writable,
        adopt=row.adopt,
        configured=row.configured,
        has_hook_secret=row.hook_secret is not None,
        files=counts.files,
        broken=counts.broken,
        removed=counts.removed,
        created_at=time_text(row.created_at, zone),
        created_by=or_unset(row.created_by),
        synced_at=or_unset(time_text(row.synced_at, zone)),
        commit=or_unset(row.source_commit),
        problem=or_unset(row.problem),
        problem_at=or_unset(time_text(row.problem_at, zone)),
        syncing=UNSET if progress is None else msgspec.convert(progress, SyncProgress, from_attributes=True),
    )


def present_details(
    status: SourceStatus, files: Sequence[SourceFileRow], page: Pagination, zone: tzinfo
) -> SourceDetails:
    """Return a source with a page of its files."""
    source = msgspec.structs.asdict(present_source(status, zone))
    return SourceDetails(**source, sourced_files=[_present_file(row, zone) for row in files], pagination=page)


def present_origin(origin: DagOrigin | None, zone: tzinfo) -> DagSource | UnsetType:
    """Return where a DAG comes from, for one that has a source."""
    if origin is None:
        return UNSET
    return DagSource(
        name=origin.source,
        path=origin.path,
        commit=or_unset(origin.source_commit),
        writable=or_unset(origin.writable),
        problems=or_unset(_present_problems(origin.problems)),
        removed_at=or_unset(time_text(origin.removed_at, zone)),
    )


def _present_file(row: SourceFileRow, zone: tzinfo) -> SourceFile:
    return SourceFile(
        path=row.path,
        file_name=or_unset(row.file_name),
        commit=or_unset(row.source_commit),
        changed_at=time_text(row.changed_at, zone),
        problems=_present_problems(row.problems),
        removed_at=or_unset(time_text(row.removed_at, zone)),
    )


def _present_problems(problems: Sequence[FileProblem]) -> list[SourceProblem]:
    return msgspec.convert(problems, list[SourceProblem], from_attributes=True)
