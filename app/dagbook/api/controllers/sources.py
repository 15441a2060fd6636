"""Sources of definitions: directories and Git repositories. An extension of the contract."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.errors import errors
from dagbook.api.params import parameters
from dagbook.api.presenters.present import pagination
from dagbook.api.presenters.sources import present_details, present_source
from dagbook.api.providers import provide_services
from dagbook.api.requests import ApiRequest
from dagbook.api.schemas.sources import Fetching, NewSource, Source, SourceDetails, SourcesList
from dagbook.api.services import PageNumber
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import Database
from dagbook.db.repositories import sources
from dagbook.db.repositories.sources import NewSource as PlannedSource
from dagbook.sources.service import Sources

_HOOK_BYTES = 25 << 20  # Git hosts send up to 25 MB; nothing of it is kept


class SourceServices(msgspec.Struct, frozen=True, kw_only=True):
    """Services of sources."""

    database: Database
    sources: Sources
    zone: ZoneInfo


class SourcesController(Controller):
    path = "/sources"
    dependencies = provide_services(SourceServices)

    @get(operation_id="listSources", requires=Requires.READ, responses=errors())
    async def list_sources(self, services: NamedDependency[SourceServices]) -> SourcesList:
        """List the sources of definitions, with the outcome of their last syncs."""
        found = await services.sources.find()
        return SourcesList(sources=[present_source(status, services.zone) for status in found])

    @post(
        operation_id="addSource",
        requires=Requires.REDACT,
        audits=Action.SOURCE_CREATE,
        status_code=201,
        responses=errors(409),
    )
    async def add(
        self, data: JSONBody[NewSource], services: NamedDependency[SourceServices], caller: NamedDependency[Caller]
    ) -> Source:
        """Add a directory of the server or a Git repository as a source; its first sync follows.

        This takes an admin: what is in a source runs with the rights of the server.
        """
        source = PlannedSource(
            name=data.name,
            kind=sources.DIRECTORY,
            place=data.place,
            branch=data.branch or None,
            path=data.path or "",
            writable=bool(data.writable),
            adopt=bool(data.adopt),
            credentials=data.credentials or None,
        )
        row = await services.sources.add(source, data.hook_secret or "", caller.actor)
        return present_source(await services.sources.get(row.name), services.zone)

    @get("/{sourceName:str}", operation_id="getSource", requires=Requires.READ, responses=errors(404))
    async def get_source(
        self,
        source_name: parameters.SourceName,
        services: NamedDependency[SourceServices],
        page_number: NamedDependency[PageNumber],
        problems: parameters.OnlyProblems = False,
    ) -> SourceDetails:
        """Return a source with a page of its files; ``problems`` returns those with problems and removed ones."""
        status = await services.sources.get(source_name)
        number, size = page_number.number, page_number.size
        rows = await services.database.read(
            lambda connection: sources.find_file_page(
                connection, status.row.id, broken=problems, offset=min((number - 1) * size, 2**62), limit=size
            )
        )
        counts = status.counts
        total = counts.broken + counts.removed if problems else counts.files + counts.removed
        return present_details(status, rows, pagination(total, number, size), services.zone)

    @delete(
        "/{sourceName:str}",
        operation_id="deleteSource",
        requires=Requires.REDACT,
        audits=Action.SOURCE_DELETE,
        status_code=204,
        responses=errors(404),
    )
    async def remove(
        self,
        source_name: parameters.SourceName,
        services: NamedDependency[SourceServices],
        caller: NamedDependency[Caller],
    ) -> None:
        """Delete a source; its DAGs stay, and can be changed from then on."""
        await services.sources.remove(source_name, caller.actor)

    @post(
        "/{sourceName:str}/sync",
        operation_id="syncSource",
        requires=Requires.SYNC,
        audits=Action.SOURCE_SYNC,
        status_code=200,
        responses=errors(404),
    )
    async def sync(
        self,
        source_name: parameters.SourceName,
        services: NamedDependency[SourceServices],
        caller: NamedDependency[Caller],
    ) -> Source:
        """Read a source now, and wait until that is done; after 20 seconds ``syncing`` says how far it is."""
        await services.sources.sync_now(source_name, caller.actor)
        return present_source(await services.sources.get(source_name), services.zone)

    @post(
        "/{sourceName:str}/fetch",
        operation_id="fetchSource",
        requires=Requires.HOOK,
        audits=Action.SOURCE_FETCH,
        status_code=202,
        request_max_body_size=_HOOK_BYTES,
        responses=errors(404, 413),
    )
    async def fetch(
        self,
        request: ApiRequest,
        source_name: parameters.SourceName,
        services: NamedDependency[SourceServices],
        caller: NamedDependency[Caller],
        signature: parameters.Signature = None,
    ) -> Fetching:
        """Start a sync, as the webhook of a Git host: its body is signed with the source's secret (HMAC-SHA256)."""
        if caller.via == "hook":
            await services.sources.check_signature(source_name, request.read_into, signature or "", caller.address)
            await services.sources.fetch_by_hook(source_name, msgspec.structs.replace(caller.actor, actor=source_name))
        else:
            await services.sources.fetch(source_name, caller.actor)
        return Fetching(name=source_name)
