"""Rules of alerts. An extension of the contract."""

from __future__ import annotations

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody
from msgspec.structs import replace

from dagbook.accounts.rights import sees_dag
from dagbook.alerts.requests import NewAlertRule, SetAlertRule
from dagbook.alerts.rights import find_changeable, is_admin, require_rule
from dagbook.alerts.rules import single_dag
from dagbook.api.dependencies import CurrentCaller, provide_services
from dagbook.api.params import parameters
from dagbook.api.presenters.alerts import present_rule, present_test
from dagbook.api.routes import delete, get, permission, post, put
from dagbook.api.schemas.alerts import AlertRule, AlertRules, AlertTest, AlertTestRequest
from dagbook.api.services import AlertServices
from dagbook.auth.audit_context import Action, Caller
from dagbook.auth.roles import Requires
from dagbook.db.repositories.alerts import rules
from dagbook.db.repositories.alerts.rules import RuleRow
from dagbook.errors import NotFoundError
from dagbook.identifiers import shorten

Services = NamedDependency[AlertServices]


async def _permitted(services: AlertServices, caller: Caller, rule: SetAlertRule) -> SetAlertRule:
    """Return the rule that a caller may have; that of a manager is for one DAG. Raises AppError."""
    if is_admin(services.auth, caller):
        return rule
    dag = single_dag(rule)
    await require_rule(services.auth, caller, dag)
    return replace(rule, match=[], dag=dag)


async def _visible(services: AlertServices, caller: Caller, name: str) -> RuleRow:
    """Return a rule that a caller sees; raises NotFoundError."""
    row = await services.rules.require(name)
    if not await sees_dag(services.auth, caller, row.dag_name):
        raise NotFoundError(f"there is no rule named {shorten(name)}")
    return row


async def _own(services: AlertServices, caller: Caller, name: str) -> None:
    """Raise AppError for a rule that a caller may not change."""
    row = await _visible(services, caller, name)
    await require_rule(services.auth, caller, row.dag_name or "")


async def _present(services: AlertServices, caller: Caller, *rows: RuleRow) -> list[AlertRule]:
    dags, admin = await services.database.read(rules.find_dags), is_admin(services.auth, caller)
    changeable = await find_changeable(services.auth, caller, rows)
    return [present_rule(row, dags, is_admin=admin, may_change=row.name in changeable) for row in rows]


class AlertRulesController(Controller):
    path = "/alert-rules"
    opt = permission(Requires.READ)
    dependencies = provide_services(AlertServices)

    @get("", "listAlertRules", narrowed=True)
    async def list_rules(self, services: Services, caller: CurrentCaller) -> AlertRules:
        """List the rules; callers with grants see those for single DAGs that they see."""
        rows = [row for row in await services.rules.find() if await sees_dag(services.auth, caller, row.dag_name)]
        return AlertRules(rules=await _present(services, caller, *rows))

    @post("", "addAlertRule", Requires.SYNC, Action.ALERT_RULE_CREATE, 404, 409, status_code=201, checks_grants=True)
    async def add(self, data: JSONBody[NewAlertRule], services: Services, caller: CurrentCaller) -> AlertRule:
        """Add a rule; managers add rules for one DAG, with shared channels."""
        rule, admin = await _permitted(services, caller, data), is_admin(services.auth, caller)
        row = await services.rules.add(data.name, rule, caller.actor, may_use_all=admin)
        return (await _present(services, caller, row))[0]

    @get("/{ruleName:str}", "getAlertRule", 404, narrowed=True)
    async def get_rule(self, rule_name: parameters.RuleName, services: Services, caller: CurrentCaller) -> AlertRule:
        """Return a rule."""
        return (await _present(services, caller, await _visible(services, caller, rule_name)))[0]

    @put("/{ruleName:str}", "setAlertRule", Requires.SYNC, Action.ALERT_RULE_UPDATE, 404, checks_grants=True)
    async def set_rule(
        self,
        rule_name: parameters.RuleName,
        data: JSONBody[SetAlertRule],
        services: Services,
        caller: CurrentCaller,
    ) -> AlertRule:
        """Replace what a rule says."""
        await _own(services, caller, rule_name)
        rule, admin = await _permitted(services, caller, data), is_admin(services.auth, caller)
        row = await services.rules.replace(rule_name, rule, caller.actor, may_use_all=admin)
        return (await _present(services, caller, row))[0]

    @delete("/{ruleName:str}", "deleteAlertRule", Requires.SYNC, Action.ALERT_RULE_DELETE, 404, checks_grants=True)
    async def remove(self, rule_name: parameters.RuleName, services: Services, caller: CurrentCaller) -> None:
        """Delete a rule; open alerts stay until they end."""
        await _own(services, caller, rule_name)
        await services.rules.remove(rule_name, caller.actor)

    @post("/{ruleName:str}/test", "testAlertRule", Requires.SYNC, Action.ALERT_TEST, 404, checks_grants=True)
    async def test(
        self,
        rule_name: parameters.RuleName,
        data: JSONBody[AlertTestRequest],
        services: Services,
        caller: CurrentCaller,
    ) -> AlertTest:
        """Tell the channels of a rule of an event of a DAG that is marked as a test, and wait for the receipts.

        The event takes the way of real ones: the rule, the deliveries, the server that sends them. After 20 seconds the
        answer has the receipts that there are.
        """
        await _own(services, caller, rule_name)
        tested = await services.alerts.test_rule(rule_name, data.dag, caller.actor)
        return present_test(tested, services.zone, is_admin=is_admin(services.auth, caller))
