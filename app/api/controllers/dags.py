"""Stored DAGs: created, listed, read, saved, deleted, started, validated (tag dags)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from app.api import params
from app.api.answers import errors
from app.api.controllers.runs import dag_of, empty
from app.api.deps import PageNumber, Parts
from app.api.present import dag_details, dag_in_list, never_run, pagination, run_details, run_summary, summary_of
from app.api.schemas.dags import (
    CreatedDAG,
    DAGFile,
    DAGFileDetails,
    DAGFiles,
    LocalDag,
    NewDAG,
    Spec,
    SpecErrors,
    SpecToValidate,
    SpecUpdate,
    StartDAG,
    StoppedAll,
    Suspension,
    Validation,
)
from app.api.schemas.runs import DAGRunDetails, StartedRun
from app.db.database import ReadConnection
from app.db.repositories import dags, runs
from app.errors import NotFoundError
from app.names import is_name, shorten, strip_suffix
from app.runs.accept import Start
from app.spec import cron
from app.spec.load import Loaded
from app.spec.model import DEFAULT_HISTORY_RETENTION_DAYS, Dag

_NEVER = datetime.max.replace(tzinfo=UTC)


@post("/dags", operation_id="createNewDAG", status_code=201, responses=errors(409))
async def create_dag(data: JSONBody[NewDAG], parts: NamedDependency[Parts]) -> CreatedDAG:
    """Store a new DAG, with a first step of its own when no text is given."""
    await parts.definitions.create(data.name, data.spec or None, None)
    return CreatedDAG(name=data.name)


@post("/dags/validate", operation_id="validateDAGSpec", status_code=200, responses=errors())
async def validate(data: JSONBody[SpecToValidate], parts: NamedDependency[Parts]) -> Validation:
    """Say everything that is wrong with a text, and what could be read of it; nothing is stored."""
    loaded = parts.library.read(data.spec, name=data.name or "validated-dag")
    errors = [str(problem) for problem in loaded.problems]
    return Validation(valid=not errors, errors=errors, dag=dag_details(loaded.definition.dag))


@get("/dags", operation_id="listDAGs", responses=errors())
async def list_dags(
    parts: NamedDependency[Parts],
    page_number: NamedDependency[PageNumber],
    name: params.Text = None,
    tag: params.Tag = None,
    sort: params.Sort = "name",
    order: params.Order = "asc",
) -> DAGFiles:
    """List stored DAGs, broken ones included, with the latest run of each."""
    number, size = page_number.number, page_number.size
    rows = await parts.database.read(dags.find)
    found = _matching(_load_all(parts, rows), name or "", tag or "")
    _sort(found, sort, descending=order == "desc", parts=parts)
    shown = found[(number - 1) * size : number * size]
    names = [loaded.definition.dag.name or row["file_name"] for row, loaded in shown]
    latest = await parts.database.read(lambda connection: runs.find_latest_of(connection, names))
    return DAGFiles(
        dags=[_dag_file(row, loaded, latest, parts) for row, loaded in shown],
        errors=[],
        pagination=pagination(len(found), number, size),
    )


_Found = list[tuple[Mapping[str, Any], Loaded]]


def _load_all(parts: Parts, rows: Sequence[Mapping[str, Any]]) -> _Found:
    return [(row, _load(parts, row)) for row in rows]


def _load(parts: Parts, row: Mapping[str, Any]) -> Loaded:
    return parts.library.read(row["spec"] or "", name=row["file_name"])


def _matching(found: _Found, name: str, tag: str) -> _Found:
    part, wanted = name.casefold(), tag.strip().casefold()
    return [
        (row, loaded)
        for row, loaded in found
        if part in row["file_name"].casefold() and (not wanted or wanted in loaded.definition.dag.tags)
    ]


def _sort(found: _Found, field: str, *, descending: bool, parts: Parts) -> None:
    found.sort(key=lambda item: item[0]["file_name"])
    found.sort(key=lambda item: _name(item).casefold(), reverse=descending)
    if field != "nextRun":
        return
    now = parts.now()
    zone = parts.zone if isinstance(parts.zone, ZoneInfo) else ZoneInfo("UTC")
    runs_at = {id(item[0]): next_run(item[1].definition.dag, now, zone) for item in found}
    scheduled = [item for item in found if runs_at[id(item[0])] is not None]
    scheduled.sort(key=lambda item: runs_at[id(item[0])] or _NEVER, reverse=descending)
    found[:] = scheduled + [item for item in found if runs_at[id(item[0])] is None]


def _name(item: tuple[Mapping[str, Any], Loaded]) -> str:
    return item[1].definition.dag.name or str(item[0]["file_name"])


def next_run(dag: Dag, now: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the earliest next start over all schedules of a DAG."""
    times = []
    for expression in dag.schedule.start:
        try:
            instant = cron.next_after(cron.parse(expression), now, zone)
        except ValueError:
            continue  # a broken schedule is among the DAG's errors
        if instant is not None:
            times.append(instant)
    return min(times, default=None)


def _dag_file(row: Mapping[str, Any], loaded: Loaded, latest: Mapping[str, Any], parts: Parts) -> DAGFile:
    dag = loaded.definition.dag
    run = latest.get(dag.name or row["file_name"])
    shown = run_summary(run, parts.zone) if run is not None else summary_of(never_run(dag, parts.zone))
    return DAGFile(
        file_name=row["file_name"],
        dag=dag_in_list(dag),
        latest_dag_run=shown,
        suspended=row["suspended"],
        errors=[str(problem) for problem in loaded.problems],
    )


@get("/dags/{fileName:str}", operation_id="getDAGDetails", responses=errors(404))
async def get_dag(file_name: params.FileName, parts: NamedDependency[Parts]) -> DAGFileDetails:
    """Return a stored DAG with its local DAGs and its latest run."""
    row = await require_dag(parts, file_name)
    loaded = _load(parts, row)
    dag = loaded.definition.dag
    local = sorted(loaded.definition.local_dags, key=lambda item: item.name)
    return DAGFileDetails(
        dag=dag_details(dag, default_retention_days=DEFAULT_HISTORY_RETENTION_DAYS),
        local_dags=[LocalDag(name=item.name, errors=[], dag=dag_details(item)) for item in local],
        latest_dag_run=await _latest_details(parts, dag),
        suspended=row["suspended"],
        errors=[str(problem) for problem in loaded.problems],
    )


async def require_dag(parts: Parts, file_name: str) -> Mapping[str, Any]:
    """Return a stored DAG; raises NotFoundError."""
    name = strip_suffix(file_name)
    row = None
    if is_name(name):
        row = await parts.database.glance(lambda connection: dags.get(connection, name))
    if row is None:
        raise NotFoundError(f"there is no DAG named {shorten(file_name)}")
    return row


async def _latest_details(parts: Parts, dag: Dag) -> DAGRunDetails:
    found = await parts.database.read(lambda connection: _read_latest(connection, dag.name))
    if found is None:
        return never_run(dag, parts.zone)
    run, attempt, nodes = found
    return run_details(run, attempt, nodes, await dag_of(parts, run), parts.zone)


def _read_latest(connection: ReadConnection, name: str) -> tuple[Any, Any, Any] | None:
    run = runs.find_latest_of(connection, [name]).get(name)
    if run is None:
        return None
    attempt = runs.get_attempt(connection, run["id"], run["attempt"])
    return run, attempt, runs.get_nodes(connection, run["id"], run["attempt"])


@delete("/dags/{fileName:str}", operation_id="deleteDAG", status_code=204, responses=errors(404))
async def delete_dag(file_name: params.FileName, parts: NamedDependency[Parts]) -> None:
    """Remove a stored DAG; its runs stay."""
    row = await require_dag(parts, file_name)
    await parts.definitions.delete(row["file_name"])


@get("/dags/{fileName:str}/spec", operation_id="getDAGSpec", responses=errors(404))
async def get_spec(file_name: params.FileName, parts: NamedDependency[Parts]) -> Spec:
    """Return the text of a stored DAG as it was saved, with what is wrong with it and what is outdated."""
    row = await require_dag(parts, file_name)
    loaded = _load(parts, row)
    messages = [str(problem) for problem in loaded.problems]
    return Spec(
        spec=row["spec"] or "",
        errors=[*messages, *loaded.definition.warnings],
        dag=dag_details(loaded.definition.dag),
    )


@put("/dags/{fileName:str}/spec", operation_id="updateDAGSpec", responses=errors(404))
async def put_spec(file_name: params.FileName, data: JSONBody[SpecUpdate], parts: NamedDependency[Parts]) -> SpecErrors:
    """Save a text as the DAG's next revision; one with problems is not saved, and they are returned."""
    row = await require_dag(parts, file_name)
    return SpecErrors(errors=await parts.definitions.save(row["file_name"], data.spec, None))


@post("/dags/{fileName:str}/start", operation_id="executeDAG", status_code=200, responses=errors(404, 409))
async def start_dag(file_name: params.FileName, data: JSONBody[StartDAG], parts: NamedDependency[Parts]) -> StartedRun:
    """Start a run of a stored DAG."""
    start = Start(
        params=data.params or "",
        run_id=data.dag_run_id or "",
        dag_name=data.dag_name or "",
        singleton=bool(data.singleton),
    )
    row = await require_dag(parts, file_name)
    return StartedRun(dag_run_id=await parts.launcher.start_stored(row["file_name"], start))


@post("/dags/{fileName:str}/stop-all", operation_id="stopAllDAGRuns", status_code=200, responses=errors(404))
async def stop_all(file_name: params.FileName, parts: NamedDependency[Parts]) -> StoppedAll:
    """Ask all running runs of a stored DAG to stop."""
    row = await require_dag(parts, file_name)
    return StoppedAll(errors=await parts.launcher.stop_all(row["file_name"], None))


@post("/dags/{fileName:str}/suspend", operation_id="updateDAGSuspensionState", status_code=200, responses=errors(404))
async def suspend(
    file_name: params.FileName, data: JSONBody[Suspension], parts: NamedDependency[Parts]
) -> Response[None]:
    """Let the DAG's schedules rest, or wake them; starts by hand are not affected."""
    row = await require_dag(parts, file_name)
    await parts.definitions.suspend(row["file_name"], suspended=data.suspend)
    return empty()


HANDLERS = [
    create_dag,
    validate,
    list_dags,
    get_dag,
    delete_dag,
    get_spec,
    put_spec,
    start_dag,
    stop_all,
    suspend,
]
