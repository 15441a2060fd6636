"""Revisions of a stored DAG: list, diff, restore and redaction. An extension of the contract."""

from __future__ import annotations

from datetime import tzinfo

from litestar import Controller, Response
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET
from msgspec.structs import asdict

from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.etags import etag, expected_revisions
from dagbook.api.presenters.fields import or_unset, time_text
from dagbook.api.routes import get, permission, post
from dagbook.api.schemas.dags import (
    Restore,
    Restored,
    Revision,
    RevisionDiff,
    Revisions,
    RevisionText,
    TextDiff,
    TextToCompare,
)
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import revisions
from dagbook.db.repositories.revisions import RevisionRow
from dagbook.definitions.queries import require_dag
from dagbook.definitions.service import SaveContext
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten

Services = NamedDependency[DagServices]

_MAX_DIGITS = 9


def _read_number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise NotFoundError(f"number: {shorten(text)} is not a revision number")


def _revision(row: RevisionRow, zone: tzinfo) -> Revision:
    return Revision(
        number=row.number,
        saved_at=time_text(row.saved_at, zone),
        hash=row.definition_hash,
        author=or_unset(row.author),
        note=or_unset(row.note),
        commit=or_unset(row.source_commit),
        redacted_at=or_unset(time_text(row.redacted_at, zone)),
        redacted_by=or_unset(row.redacted_by),
    )


def _with_text(row: RevisionRow, zone: tzinfo) -> RevisionText:
    return RevisionText(**asdict(_revision(row, zone)), spec=UNSET if row.spec is None else row.spec)


class RevisionsController(Controller):
    path = "/dags/{fileName:str}/revisions"
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("", "listDAGRevisions", 404)
    async def list_revisions(
        self, file_name: parameters.FileName, services: Services, page_number: RequestedPage
    ) -> Revisions:
        """List the revisions of a DAG, newest first."""
        dag = await require_dag(services.database, file_name)
        newest = max(dag.revision - page_number.offset, 0)  # they are numbered from 1 without gaps
        found = await services.database.read_inline(
            lambda connection: revisions.find_page(connection, dag.id, newest=newest, limit=page_number.size)
        )
        return Revisions(
            revisions=[_revision(row, services.zone) for row in found],
            pagination=page_number.paging(dag.revision),
        )

    @get("/{number:str}", "getDAGRevision", 404)
    async def get_revision(
        self, file_name: parameters.FileName, number: parameters.RevisionNumber, services: Services
    ) -> RevisionText:
        """Return one revision of a DAG with its text."""
        dag = await require_dag(services.database, file_name)
        return _with_text(await services.revisions.get(dag, _read_number(number)), services.zone)

    @get("/diff", "compareDAGRevisions", 404)
    async def compare(
        self,
        file_name: parameters.FileName,
        from_: parameters.FromRevision,
        to: parameters.ToRevision,
        services: Services,
    ) -> RevisionDiff:
        """Return the difference between two revisions."""
        dag = await require_dag(services.database, file_name)
        return RevisionDiff(from_=from_, to=to, diff=await services.revisions.compare(dag, from_, to))

    @post("/diff", "compareDAGText", Requires.READ, None, 404)
    async def compare_text(
        self, file_name: parameters.FileName, data: JSONBody[TextToCompare], services: Services, caller: CurrentCaller
    ) -> TextDiff:
        """Return the difference between the newest revision and a text; nothing is stored."""
        dag = await require_dag(services.database, file_name)
        with services.limits.read_text(caller, data.spec):
            diff = await services.revisions.compare_text(dag, data.spec)
        return TextDiff(revision=dag.revision, diff=diff)

    @post("/{number:str}/restore", "restoreDAGRevision", Requires.WRITE, Action.DAG_RESTORE, 404, 412)
    async def restore(
        self,
        file_name: parameters.FileName,
        number: parameters.RevisionNumber,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[Restore | None] = None,
        if_match: parameters.IfMatch = None,
    ) -> Response[Restored]:
        """Save the text of a revision as the newest one; a text that is not valid now is not saved, see ``errors``."""
        dag = await require_dag(services.database, file_name)
        context = SaveContext(
            actor=caller.actor,
            note=(data.note if data else None) or "",
            expected=expected_revisions(if_match),
            visibility=caller.visibility,
        )
        saved = await services.revisions.restore(dag, _read_number(number), context)
        body = Restored(errors=saved.problems, revision=or_unset(saved.revision))
        return Response(body, status_code=200, headers=etag(saved.revision))

    @post("/{number:str}/redact", "redactDAGRevision", Requires.REDACT, Action.DAG_REDACT, 404)
    async def redact(
        self,
        file_name: parameters.FileName,
        number: parameters.RevisionNumber,
        services: Services,
        caller: CurrentCaller,
    ) -> RevisionText:
        """Delete the text of a revision permanently, with all copies that runs use, because it contained a secret.

        Such runs are kept but cannot be retried. Their output is not changed.
        """
        dag = await require_dag(services.database, file_name)
        return _with_text(await services.revisions.redact(dag, _read_number(number), caller.actor), services.zone)
