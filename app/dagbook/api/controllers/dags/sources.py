"""Sources of definitions: directories and Git repositories. An extension of the contract."""

from __future__ import annotations

import msgspec
from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from dagbook.api.dependencies import CurrentCaller, RequestedPage, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.sources import present_details, present_source
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import delete, get, permission, post
from dagbook.api.schemas.sources import Fetching, NewSource, Source, SourceDetails, SourcesList
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import sources
from dagbook.db.repositories.sources import NewSource as PlannedSource

Services = NamedDependency[DagServices]

_HOOK_BYTES = 25 << 20  # Git hosts send up to 25 MB; nothing of it is kept


class SourcesController(Controller):
    path = "/sources"
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @get("", "listSources")
    async def list_sources(self, services: Services) -> SourcesList:
        """List the sources of definitions, with the outcome of their last syncs."""
        found = await services.sources.find()
        return SourcesList(sources=[present_source(status, services.zone) for status in found])

    @post("", "addSource", Requires.REDACT, Action.SOURCE_CREATE, 409, status_code=201)
    async def add(self, data: JSONBody[NewSource], services: Services, caller: CurrentCaller) -> Source:
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

    @get("/{sourceName:str}", "getSource", 404)
    async def get_source(
        self,
        source_name: parameters.SourceName,
        services: Services,
        page_number: RequestedPage,
        problems: parameters.OnlyProblems = False,
    ) -> SourceDetails:
        """Return a source with a page of its files; ``problems`` returns those with problems and removed ones."""
        status = await services.sources.get(source_name)
        rows = await services.database.read(
            lambda connection: sources.find_file_page(
                connection, status.row.id, broken=problems, offset=page_number.offset, limit=page_number.size
            )
        )
        counts = status.counts
        total = counts.broken + counts.removed if problems else counts.files + counts.removed
        return present_details(status, rows, page_number.paging(total), services.zone)

    @delete("/{sourceName:str}", "deleteSource", Requires.REDACT, Action.SOURCE_DELETE, 404)
    async def remove(self, source_name: parameters.SourceName, services: Services, caller: CurrentCaller) -> None:
        """Delete a source; its DAGs stay, and can be changed from then on."""
        await services.sources.remove(source_name, caller.actor)

    @post("/{sourceName:str}/sync", "syncSource", Requires.SYNC, Action.SOURCE_SYNC, 404)
    async def sync(self, source_name: parameters.SourceName, services: Services, caller: CurrentCaller) -> Source:
        """Read a source now, and wait until that is done; after 20 seconds ``syncing`` says how far it is."""
        await services.sources.sync_now(source_name, caller.actor)
        return present_source(await services.sources.get(source_name), services.zone)

    @post(
        "/{sourceName:str}/fetch",
        "fetchSource",
        Requires.HOOK,
        Action.SOURCE_FETCH,
        404,
        413,
        status_code=202,
        request_max_body_size=_HOOK_BYTES,
    )
    async def fetch(
        self,
        request: ApiRequest,
        source_name: parameters.SourceName,
        services: Services,
        caller: CurrentCaller,
        signature: parameters.Signature = None,
    ) -> Fetching:
        """Start a sync, as the webhook of a Git host: its body is signed with the source's secret (HMAC-SHA256)."""
        if caller.via == "hook":
            await services.sources.check_signature(source_name, request.read_into, signature or "", caller.address)
            await services.sources.fetch_by_hook(source_name, msgspec.structs.replace(caller.actor, actor=source_name))
        else:
            await services.sources.fetch(source_name, caller.actor)
        return Fetching(name=source_name)
