"""Open and past alerts, deliveries, and what is told about a DAG or a run. An extension of the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec import UNSET

from dagbook.accounts.rights import find_permitted, require_dag
from dagbook.alerts.queries import Coverage, covers_by_mail, read_coverage, wants
from dagbook.alerts.rights import is_admin
from dagbook.api.dependencies import CurrentCaller, RequestedRun, provide_caller_of_run, provide_run, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.alerts import present_alert, present_covering, present_receipt
from dagbook.api.routes import RUN, get, permission, post
from dagbook.api.schemas.alerts import (
    AcknowledgeAlert,
    Alert,
    AlertDeliveries,
    AlertReceipt,
    Alerts,
    DAGAlerts,
    DAGRunAlerts,
)
from dagbook.api.services import AlertServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.database import ReadConnection
from dagbook.db.repositories.alerts import alerts, deliveries, rules
from dagbook.db.repositories.alerts.alerts import AlertFilter, AlertRow
from dagbook.db.repositories.alerts.deliveries import DeliveryFilter, DeliveryRow
from dagbook.db.repositories.alerts.rules import DagTags
from dagbook.definitions import queries as stored_dags
from dagbook.engine.status import RunStatus
from dagbook.errors import BadRequestError, NotFoundError
from dagbook.identifiers import shorten
from dagbook.runs.queries import dag_of

Services = NamedDependency[AlertServices]
_MOST, _OF_DAG = 100, 20
_MOST_DIGITS = 18
_Found = Sequence[tuple[AlertRow, Sequence[DeliveryRow]]]


def _read_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _with_told(connection: ReadConnection, rows: Sequence[AlertRow]) -> _Found:
    """Return alerts with their deliveries, which are read in one statement."""
    told: dict[int | None, list[DeliveryRow]] = {}
    for each in deliveries.find_of_alerts(connection, [row.id for row in rows]):
        told.setdefault(each.alert_id, []).append(each)
    return [(row, told.get(row.id, ())) for row in rows]


async def _present(services: AlertServices, caller: Caller, found: _Found) -> list[Alert]:
    """Return alerts as clients see them, with what the caller may do."""
    (permitted,) = await find_permitted(services.auth, caller, [row.subject for row, _ in found], Requires.RUN)
    admin = is_admin(services.auth, caller)
    return [
        present_alert(row, told, services.zone, is_admin=admin, may_acknowledge=row.subject in permitted)
        for row, told in found
    ]


async def _require(services: AlertServices, alert_id: str, caller: Caller) -> tuple[AlertRow, Alert]:
    """Return an alert that the caller sees, as a row and as clients see it; raises NotFoundError."""
    key = _read_number(alert_id)

    def read(connection: ReadConnection) -> _Found:
        row = None if key is None else alerts.get(connection, key, caller.visibility)
        return _with_told(connection, [row] if row else [])

    found = await services.database.read_inline(read)
    if not found:
        raise NotFoundError(f"there is no alert {shorten(alert_id)}")
    return found[0][0], (await _present(services, caller, found))[0]


class AlertsController(Controller):
    opt = permission(Requires.READ)
    dependencies = provide_services(AlertServices)

    @get("/alerts", "listAlerts", narrowed=True)
    async def list_alerts(
        self,
        services: Services,
        caller: CurrentCaller,
        is_open: parameters.OpenAlerts = None,
        kind: parameters.AlertKind = None,
        dag: parameters.OfDag = None,
        cursor: parameters.AlertCursor = None,
    ) -> Alerts:
        """List alerts with their receipts, the newest first."""
        before = _read_number(cursor) if cursor else None
        if cursor and before is None:
            raise BadRequestError(f"cursor: {shorten(cursor)} is not valid; use nextCursor of a response")
        wanted = AlertFilter(
            is_open=is_open,
            kind=(kind or "").replace("\0", ""),
            dag=(dag or "").replace("\0", ""),
            before=before,
            visibility=caller.visibility,
        )

        found = await services.database.read(
            lambda connection: _with_told(connection, alerts.find_page(connection, wanted, _MOST + 1))
        )
        next_cursor = str(found[_MOST - 1][0].id) if len(found) > _MOST else UNSET
        return Alerts(alerts=await _present(services, caller, found[:_MOST]), next_cursor=next_cursor)

    @get("/alerts/{alertId:str}", "getAlert", 404, narrowed=True)
    async def get_alert(self, alert_id: parameters.AlertId, services: Services, caller: CurrentCaller) -> Alert:
        """Return an alert with its deliveries."""
        _, shown = await _require(services, alert_id, caller)
        return shown

    @post(
        "/alerts/{alertId:str}/acknowledge",
        "acknowledgeAlert",
        Requires.RUN,
        Action.ALERT_ACKNOWLEDGE,
        404,
        checks_grants=True,
    )
    async def acknowledge(
        self,
        alert_id: parameters.AlertId,
        services: Services,
        caller: CurrentCaller,
        data: JSONBody[AcknowledgeAlert | None] = None,
    ) -> Alert:
        """Acknowledge an alert: no reminder and no escalation of it follows."""
        row, _ = await _require(services, alert_id, caller)
        await require_dag(services.auth, caller, row.subject, Requires.RUN)
        await services.alerts.acknowledge(row, (data and data.note) or "", caller.actor)
        _, shown = await _require(services, alert_id, caller)
        return shown

    @get("/alert-deliveries", "listAlertDeliveries", narrowed=True)
    async def list_deliveries(
        self,
        services: Services,
        caller: CurrentCaller,
        status: parameters.DeliveryStatus = None,
        dag: parameters.OfDag = None,
        cursor: parameters.AlertCursor = None,
    ) -> AlertDeliveries:
        """List the messages to channels with their receipts, the newest first."""
        wanted = DeliveryFilter(
            status=status or "",
            dag=(dag or "").replace("\0", ""),
            before=(cursor or "").replace("\0", ""),
            visibility=caller.visibility,
        )
        rows = await services.database.read(deliveries.find_page, wanted, _MOST + 1)
        admin = is_admin(services.auth, caller)
        shown = [present_receipt(row, services.zone, is_admin=admin) for row in rows[:_MOST]]
        return AlertDeliveries(deliveries=shown, next_cursor=rows[_MOST - 1].id if len(rows) > _MOST else UNSET)

    @post(
        "/alert-deliveries/{deliveryId:str}/resend",
        "resendAlertDelivery",
        Requires.RUN,
        Action.ALERT_RESEND,
        404,
        checks_grants=True,
    )
    async def resend(
        self, delivery_id: parameters.DeliveryId, services: Services, caller: CurrentCaller
    ) -> AlertReceipt:
        """Send a message again that was sent, given up or dropped, under the same id."""
        key = delivery_id.replace("\0", "")
        row = await services.database.read_inline(deliveries.get, key, caller.visibility)
        if row is None:
            raise NotFoundError(f"there is no delivery {shorten(delivery_id)}")
        await require_dag(services.auth, caller, row.dag or "", Requires.RUN)
        await services.alerts.resend(row, caller.actor)
        found = await services.database.read_inline(deliveries.get, key)
        return present_receipt(found or row, services.zone, is_admin=is_admin(services.auth, caller))

    @get("/dags/{fileName:str}/alerts", "getDAGAlerts", 404)
    async def of_dag(self, file_name: parameters.FileName, services: Services, caller: CurrentCaller) -> DAGAlerts:
        """Return which rules cover a DAG and by which of their words, or why none does, and its newest alerts."""
        admin, row = is_admin(services.auth, caller), await stored_dags.require_dag(services.database, file_name)
        base = await asyncio.to_thread(services.read_base)
        loaded = await services.library.read_aside(row.spec or "", name=row.file_name, base=base)

        def read(connection: ReadConnection) -> tuple[DagTags, Coverage, _Found]:
            for dag in rules.find_dags(connection, row.file_name):
                found = alerts.find_page(connection, AlertFilter(dag=dag.dag_name), _OF_DAG)
                return dag, read_coverage(connection, dag.dag_name, dag.tags), _with_told(connection, found)
            raise NotFoundError(f"there is no DAG named {shorten(file_name)}")

        dag, coverage, found = await services.database.read(read)
        return DAGAlerts(
            dag=dag.dag_name,
            rules=[present_covering(rule, dag, is_admin=admin) for rule in coverage.rules],
            reasons=list(coverage.reasons),
            by_mail=covers_by_mail(loaded.definition.dag, RunStatus.FAILED),
            alerts=await _present(services, caller, found),
        )


class RunAlertsController(Controller):
    path = f"{RUN}/alerts"
    opt = permission(Requires.READ)
    dependencies = provide_services(AlertServices, run=provide_run, caller=provide_caller_of_run)

    @get("", "getDAGRunAlerts", 404)
    async def of_run(self, run: RequestedRun, services: Services, caller: CurrentCaller) -> DAGRunAlerts:
        """Return the receipts of a run, and whether any rule or mail reports it."""
        admin = is_admin(services.auth, caller)

        def read(connection: ReadConnection) -> DAGRunAlerts:
            row = run.find(connection)
            coverage = read_coverage(connection, row.dag_name, alerts.find_tags(connection, row.id))
            names = [rule.name for rule in coverage.rules if wants(rule, row.status)]
            by_mail = not names and covers_by_mail(dag_of(connection, services.library, row), row.status)
            receipts = deliveries.find_of_run(connection, row.id)
            return DAGRunAlerts(
                covered=bool(names) or by_mail,
                rules=names,
                receipts=[present_receipt(each, services.zone, is_admin=admin) for each in receipts],
            )

        return await services.database.read(read)
