"""Operations on stored DAGs (tag dags)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from litestar import Controller, MediaType, Response
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from msgspec import UNSET

from dagbook.accounts.rights import read_despite_pause
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.params.etags import etag, expected_revisions
from dagbook.api.presenters.dags import dag_details, next_start, present_suspension
from dagbook.api.presenters.sources import present_origin
from dagbook.api.requests import ApiRequest
from dagbook.api.routes import delete, get, permission, post, put
from dagbook.api.run_reads import latest_details
from dagbook.api.schemas.dags import (
    CreatedDAG,
    DAGFileDetails,
    LocalDag,
    NewDAG,
    NewFileName,
    Spec,
    SpecErrors,
    SpecToValidate,
    SpecUpdate,
    StartDAG,
    StoppedAll,
    Suspension,
    Validation,
)
from dagbook.api.schemas.runs import StartedRun
from dagbook.api.services import DagServices
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires
from dagbook.db.repositories import sources
from dagbook.db.repositories.dags import Suspension as SuspensionRow
from dagbook.definitions.queries import read_stored, require_dag
from dagbook.definitions.service import SaveContext
from dagbook.definitions.timetable import next_starts
from dagbook.engine.admission import Admission
from dagbook.runs.evaluation.param_checks import unread_schemas
from dagbook.runs.model import StartOptions
from dagbook.spec.model import DEFAULT_HISTORY_RETENTION_DAYS
from dagbook.spec.params.param_text import GivenParams
from dagbook.spec.shell_references import find_warnings

Services = NamedDependency[DagServices]

_STARTS = 5  # next starts in a validation
_SAVED = ResponseSpec(
    SpecErrors, generate_examples=False, description="The problems; the text is saved if there are none"
)


async def _details(file_name: str, services: DagServices) -> DAGFileDetails:
    row = await require_dag(services.database, file_name)
    loaded = await read_stored(services.library, row)
    dag = loaded.definition.dag
    origin = await services.database.read_inline(lambda connection: sources.get_origin(connection, row.file_name))
    local = sorted(loaded.definition.local_dags, key=lambda item: item.name)
    return DAGFileDetails(
        dag=dag_details(dag, default_retention_days=DEFAULT_HISTORY_RETENTION_DAYS),
        local_dags=[LocalDag(name=item.name, errors=[], dag=dag_details(item)) for item in local],
        latest_dag_run=await latest_details(services, row, dag),
        suspended=row.suspended,
        suspension=present_suspension(row, services.zone),
        errors=[str(problem) for problem in loaded.problems],
        source=present_origin(origin, services.zone),
    )


# A DAG may have the name of a fixed path, which hides those operations on it whose path ends with the name.


class DagsController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(DagServices)

    @post("/dags", "createNewDAG", Requires.WRITE, Action.DAG_CREATE, 409, status_code=201, checks_grants=True)
    async def create_dag(self, data: JSONBody[NewDAG], services: Services, caller: CurrentCaller) -> CreatedDAG:
        """Store a new DAG; without a text it gets a first step as an example."""
        context = SaveContext(actor=caller.actor, note=data.note or "", visibility=caller.visibility)
        with services.limits.read_text(caller, data.spec or ""):
            await services.definitions.create(data.name, data.spec or None, context)
        return CreatedDAG(name=data.name)

    @post("/dags/validate", "validateDAGSpec", Requires.READ, None, narrowed=True)
    async def validate(self, data: JSONBody[SpecToValidate], services: Services, caller: CurrentCaller) -> Validation:
        """Return all problems of a definition, and the DAG as far as it could be read; nothing is stored.

        A schema of params in a file is read only for callers who may write definitions.
        """
        with services.limits.read_text(caller, data.spec):
            loaded = await services.library.read_aside(data.spec, name=data.name or "validated-dag")
        checked = await services.run_service.check_params(loaded.definition) if caller.may_write else []
        problems = [*loaded.problems, *checked]
        errors = [str(problem) for problem in problems]
        dag = loaded.definition.dag
        starts = await asyncio.to_thread(next_starts, dag.schedule.start, services.now(), services.zone, _STARTS)
        outside: Sequence[str] = ()
        if not caller.may_write:  # those callers could ask which files and users exist
            outside = unread_schemas(loaded.definition)
        elif services.auth.has_users:
            outside = await services.approvals.find_unknown_approvers(loaded.definition)
        warnings = (*loaded.warnings, *outside, *await asyncio.to_thread(find_warnings, loaded.definition))
        return Validation(
            valid=not errors,
            errors=errors,
            warnings=list(warnings) or UNSET,
            dag=dag_details(dag),
            next_starts=[next_start(start) for start in starts] if starts else UNSET,
        )

    @get("/dags/{fileName:str}", "getDAGDetails", 404)
    async def get_dag(self, file_name: parameters.FileName, services: Services) -> DAGFileDetails:
        """Return a stored DAG with its local DAGs and its latest run."""
        return await _details(file_name, services)

    @delete("/dags/{fileName:str}", "deleteDAG", Requires.WRITE, Action.DAG_DELETE, 404)
    async def delete_dag(self, file_name: parameters.FileName, services: Services, caller: CurrentCaller) -> None:
        """Delete a stored DAG; its runs are kept."""
        row = await require_dag(services.database, file_name)
        await services.definitions.delete(row.file_name, caller.actor)

    @get("/dags/{fileName:str}/spec", "getDAGSpec", 404)
    async def get_spec(self, file_name: parameters.FileName, services: Services) -> Response[Spec]:
        """Return the text of a stored DAG as it was saved, with its problems and deprecation warnings.

        The ETag is the number of its revision, for If-Match of a save.
        """
        row = await require_dag(services.database, file_name)
        loaded = await read_stored(services.library, row)
        messages = [str(problem) for problem in loaded.problems]
        body = Spec(
            spec=row.spec or "",
            errors=[*messages, *loaded.definition.warnings],
            dag=dag_details(loaded.definition.dag),
        )
        return Response(body, headers=etag(row.revision))

    @put(
        "/dags/{fileName:str}/spec",
        "updateDAGSpec",
        Requires.WRITE,
        Action.DAG_UPDATE,
        404,
        412,
        responses={200: _SAVED},
    )
    async def put_spec(
        self,
        file_name: parameters.FileName,
        data: JSONBody[SpecUpdate],
        services: Services,
        caller: CurrentCaller,
        if_match: parameters.IfMatch = None,
    ) -> Response[SpecErrors] | Response[None]:
        """Save a text as the DAG's next revision; a text with problems is not saved, and they are returned.

        With If-Match it is saved only if that is the current revision. The response's ETag is the new revision's
        number.
        """
        row = await require_dag(services.database, file_name)
        context = SaveContext(
            actor=caller.actor,
            note=data.note or "",
            expected=expected_revisions(if_match),
            visibility=caller.visibility,
        )
        with services.limits.read_text(caller, data.spec):
            saved = await services.definitions.save(row.file_name, data.spec, context)
        if services.saves_without_if_match and not saved.problems:
            return Response(None, media_type=MediaType.TEXT, headers=etag(saved.revision))
        return Response(SpecErrors(errors=saved.problems), headers=etag(saved.revision))

    @post("/dags/{fileName:str}/start", "executeDAG", Requires.RUN, Action.RUN_START, 404, 409)
    async def start_dag(
        self,
        file_name: parameters.FileName,
        data: JSONBody[StartDAG],
        services: Services,
        caller: CurrentCaller,
        traceparent: parameters.TraceParent = None,
    ) -> StartedRun:
        """Start a run of a stored DAG."""
        start = StartOptions(
            params=GivenParams(data.params or ""),
            run_id=data.dag_run_id or "",
            dag_name=data.dag_name or "",
            admission=Admission.SINGLETON if data.singleton else Admission.START,
            despite_pause=read_despite_pause(services.auth, caller, data.despite_pause),
            actor=caller.actor,
            traceparent=traceparent or "",
            edits=caller.may_write,
        )
        await services.auth.access.check_run_name(start.dag_name, caller)
        dag = await require_dag(services.database, file_name)
        return StartedRun(dag_run_id=await services.run_service.start_stored(dag, start))

    @post("/dags/{fileName:str}/stop-all", "stopAllDAGRuns", Requires.RUN, Action.RUN_STOP, 404)
    async def stop_all(self, file_name: parameters.FileName, services: Services, caller: CurrentCaller) -> StoppedAll:
        """Request a stop of all running runs of a stored DAG."""
        row = await require_dag(services.database, file_name)
        return StoppedAll(errors=await services.run_service.stop_all(row.file_name, caller.actor))

    @post("/dags/{fileName:str}/rename", "renameDAG", Requires.WRITE, Action.DAG_RENAME, 404, 409, empty=True)
    async def rename(
        self, file_name: parameters.FileName, data: JSONBody[NewFileName], services: Services, caller: CurrentCaller
    ) -> None:
        """Change the file name of a DAG; its runs keep the DAG name that they were started with."""
        row = await require_dag(services.database, file_name)
        await services.definitions.rename(row.file_name, data.new_file_name, caller.actor, caller.visibility)

    @post("/dags/{fileName:str}/suspend", "updateDAGSuspensionState", Requires.RUN, Action.DAG_SUSPEND, 404, empty=True)
    async def suspend(
        self, file_name: parameters.FileName, data: JSONBody[Suspension], services: Services, caller: CurrentCaller
    ) -> None:
        """Suspend or resume the schedules of a DAG; manual starts are not affected.

        With an end they are resumed by themselves.
        """
        row = await require_dag(services.database, file_name)
        suspension = SuspensionRow(suspended=False)
        if data.suspend:
            until = parameters.read_end(data.until, services.now())
            suspension = SuspensionRow(suspend_reason=parameters.read_reason(data.reason), suspended_until=until)
        await services.definitions.suspend(row.file_name, caller.actor, suspension)

    @get("/dags/validate", fixed_name="file")
    async def get_dag_of_fixed_name(self, services: Services) -> DAGFileDetails:
        """Return the DAG named ``validate``."""
        return await _details("validate", services)

    @delete(["/dags/validate", "/dags/search", "/dags/tags"], "", Requires.WRITE, Action.DAG_DELETE, fixed_name="file")
    async def delete_dag_of_fixed_name(self, request: ApiRequest, services: Services, caller: CurrentCaller) -> None:
        """Delete the DAG with the name of the path."""
        await services.definitions.delete(request.url.path.rpartition("/")[2], caller.actor)
