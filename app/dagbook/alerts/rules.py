"""Use cases of rules: add, change and remove what is told to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from dagbook.alerts import routing
from dagbook.alerts.channels import is_channel_name
from dagbook.alerts.due import LONGEST_SECONDS, format_seconds, parse_quiet
from dagbook.alerts.kinds import PING, Kind, parse_kind
from dagbook.alerts.requests import SetAlertRule
from dagbook.auth.audit_context import Action, Actor, AuditAction, Values
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.repositories import audit
from dagbook.db.repositories.alerts import channels, events, rules
from dagbook.db.repositories.alerts.channels import ChannelRow
from dagbook.db.repositories.alerts.rules import DagTags, NewRule, NewTarget, RuleRow
from dagbook.errors import AlreadyExistsError, BadRequestError, ForbiddenError, NotFoundError
from dagbook.identifiers import is_name, shorten
from dagbook.spec.time.duration import duration_seconds

_MOST_RULES = 500
T = TypeVar("T")


class Rules:
    """The rules of a database."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    async def find(self) -> list[RuleRow]:
        """Return all rules, by name."""
        return await self._database.read_inline(rules.find)

    async def require(self, name: str) -> RuleRow:
        """Return a rule; raises NotFoundError."""
        row = await self._database.read_inline(rules.get, name) if is_channel_name(name) else None
        if row is None:
            raise NotFoundError(f"there is no rule named {shorten(name)}")
        return row

    async def add(self, name: str, rule: SetAlertRule, actor: Actor, *, may_use_all: bool) -> RuleRow:
        """Store a rule. Without ``may_use_all`` only shared channels exist. Raises AppError."""
        checked = check_rule(name, rule)

        def work(connection: WriteConnection) -> None:
            now, known = events.read_time(connection, self._now()), _find_usable(connection, may_use_all=may_use_all)
            if not add_rule(connection, *resolve(connection, checked, rule, known), now):
                raise AlreadyExistsError(f"a rule named {shorten(name)} exists already")
            audit.add(connection, actor.entry(rule_action(Action.ALERT_RULE_CREATE, name, None, rule), now))

        await self._database.write(work)
        return await self.require(name)

    async def replace(self, name: str, rule: SetAlertRule, actor: Actor, *, may_use_all: bool) -> RuleRow:
        """Change a rule; raises AppError."""
        row = await self._require_own(name)
        changed = check_rule(name, rule)
        action = rule_action(Action.ALERT_RULE_UPDATE, name, as_written(row), rule)

        def work(connection: WriteConnection) -> None:
            now, known = self._now(), _find_usable(connection, may_use_all=may_use_all)
            new, targets = resolve(connection, changed, rule, known)
            rules.replace(connection, row.id, new, targets, events.read_time(connection, now))
            audit.add(connection, actor.entry(action, now))

        await self._database.write(work)
        return await self.require(name)

    async def remove(self, name: str, actor: Actor) -> None:
        """Delete a rule; what it has caused stays. Raises AppError."""
        row = await self._require_own(name)
        entry = actor.entry(rule_action(Action.ALERT_RULE_DELETE, name, as_written(row), None), self._now())

        def work(connection: WriteConnection) -> None:
            rules.remove(connection, row.id)
            audit.add(connection, entry)

        await self._database.write(work)

    async def _require_own(self, name: str) -> RuleRow:
        row = await self.require(name)
        if row.configured:
            raise ForbiddenError(f"the rule {shorten(name)} is in the setting alert_rules; change it there")
        return row


def single_dag(rule: SetAlertRule) -> str:
    """Return the one DAG that a rule is for; empty for others."""
    return rule.dag or routing.single_name([word.strip() for word in rule.match])


def as_written(row: RuleRow, *, names_all: bool = True) -> SetAlertRule:
    """Return a stored rule as it is written; without ``names_all`` channels that are not shared are their types."""
    names = {each.channel_id: each.channel if names_all or each.shared else each.type for each in row.targets}
    return SetAlertRule(
        match=list(row.match),
        on=list(row.kinds),
        to=[format_target(names[target.channel_id], target.delay_seconds) for target in row.targets],
        after=row.after,
        remind_seconds=row.remind_seconds,
        quiet=row.quiet,
        enabled=row.enabled,
        dag=row.dag_name,
    )


def format_target(channel: str, delay_seconds: int) -> str:
    """Return a target as it is written: ``ops``, ``pager +1h30m``."""
    return f"{channel} +{format_seconds(delay_seconds)}" if delay_seconds else channel


def parse_target(text: str) -> tuple[str, int]:
    """Return the channel and the delay of a target; raises ValueError."""
    name, plus, delay = (part.strip() for part in text.partition("+"))
    seconds = duration_seconds(delay) if plus else 0
    if seconds is None or not 0 <= seconds <= LONGEST_SECONDS:
        raise ValueError("has no delay; write one as in `pager +15m`")
    return name, int(seconds)


def count_covered(row: RuleRow, dags: Sequence[DagTags]) -> int:
    """Count the stored DAGs that a rule covers."""
    return sum(routing.judge(row.match, dag.dag_name, dag.tags).covers for dag in dags)


def check_rule(name: str, rule: SetAlertRule) -> NewRule:
    """Return a rule as it is stored, but for its DAG; raises BadRequestError. Its channels may not exist."""
    if not is_channel_name(name):
        raise BadRequestError(f"name: {shorten(name)} is no name; use 1 to 64 letters, digits, '-', '_' or '.'")
    kinds = [_parse("on", text, parse_kind) for text in rule.on]
    if rule.quiet:
        _parse("quiet", rule.quiet, parse_quiet)
    names = [_parse("to", text, parse_target)[0] for text in rule.to]
    if twice := next((each for each in names if names.count(each) > 1), ""):
        raise BadRequestError(f"to: names the channel {shorten(twice)} twice")
    general = next((named for named in kinds if named.kind.about in ("service", "channel")), None)
    if general is not None and (only := single_dag(rule)):
        raise BadRequestError(f"on: {general} is not about DAGs; leave it out of a rule for {shorten(only)} alone")
    return NewRule(
        name=name,
        match=_check_match(rule),
        kinds=[str(kind) for kind in dict.fromkeys(kinds)],
        after=rule.after,
        remind_seconds=rule.remind_seconds,
        quiet=(rule.quiet or "").strip() or None,
        enabled=rule.enabled,
        configured=False,
        tells_success=any(named.kind is Kind.SUCCEEDED for named in kinds),
        dag_id=None,
    )


def _find_usable(connection: ReadConnection, *, may_use_all: bool) -> dict[str, ChannelRow]:
    return {row.name: row for row in channels.find(connection) if row.shared or may_use_all}


def resolve(
    connection: ReadConnection, row: NewRule, rule: SetAlertRule, known: Mapping[str, ChannelRow]
) -> tuple[NewRule, list[NewTarget]]:
    """Return a valid rule with its DAG, and its channels of those that are known; raises NotFoundError.

    A ping among them is told successes, too.
    """
    dag_id = rules.find_dag_id(connection, rule.dag) if rule.dag else None
    if rule.dag and dag_id is None:
        raise NotFoundError(f"dag: there is no DAG named {shorten(rule.dag)}")
    targets = [parse_target(text) for text in rule.to]
    if missing := next((name for name, _ in targets if name not in known), ""):
        raise NotFoundError(f"to: there is no channel named {shorten(missing)}; add it first")
    stored = [NewTarget(channel_id=known[name].id, delay_seconds=delay) for name, delay in targets]
    has_ping = any(known[name].type == PING for name, _ in targets)
    return replace(row, dag_id=dag_id, tells_success=row.tells_success or has_ping), stored


def _check_match(rule: SetAlertRule) -> list[str]:
    if rule.dag:
        if not is_name(rule.dag) or rule.match not in ([], [rule.dag]):
            raise BadRequestError("match: a rule with `dag` is for that DAG alone; leave match out")
        return [rule.dag]
    words = [_parse("match", text, routing.check_word) for text in rule.match]
    if routing.excludes_only(words):
        raise BadRequestError("match: covers nothing; write at least one word without '!', such as '*'")
    return list(dict.fromkeys(words))


def _parse(field: str, text: str, parse: Callable[[str], T]) -> T:
    """Parse a value; raises BadRequestError with its field and its text."""
    try:
        return parse(text)
    except ValueError as error:
        raise BadRequestError(f"{field}: {shorten(text)} {error}") from error


def add_rule(connection: WriteConnection, row: NewRule, targets: Iterable[NewTarget], at: datetime) -> bool:
    """Store a rule; False when its name is taken. Raises BadRequestError."""
    if rules.count(connection) >= _MOST_RULES:
        raise BadRequestError(f"name: there are {_MOST_RULES} rules, the most that are possible")
    return rules.add(connection, row, targets, at)


def rule_action(action: Action, name: str, before: SetAlertRule | None, after: SetAlertRule | None) -> AuditAction:
    """Return what is recorded of a change."""

    def shown(rule: SetAlertRule | None) -> Values:
        return None if rule is None else {name: getattr(rule, name) for name in SetAlertRule.__struct_fields__}

    return AuditAction(action=action, kind="alert rule", name=name, before=shown(before), after=shown(after))
