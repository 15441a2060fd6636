"""``dagbook alerts``: what is wrong and which channels were told; channels and rules."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import datetime

import click
import msgspec

from dagbook.alerts.requests import SetAlertRule
from dagbook.api.schemas.alerts import (
    Alert,
    AlertChannel,
    AlertChannels,
    AlertDeliveries,
    AlertReceipt,
    AlertRule,
    AlertRules,
    Alerts,
    AlertTest,
    DAGAlerts,
)
from dagbook.cli.api import Api, segment, with_api
from dagbook.cli.commands import CommandGroup, GlobalOptions, ListingGroup, read_secret, seconds_of
from dagbook.cli.output import count_of, echo, format_duration, print_json, print_table, report, wants_json
from dagbook.cli.transport import Mode

_ALERTS, _CHANNELS, _RULES, _DELIVERIES = "/alerts", "/alert-channels", "/alert-rules", "/alert-deliveries"
_name = click.argument("name", metavar="NAME")


class _RuleOptions(GlobalOptions):
    """A command whose ``--quiet`` takes hours; the global option of this name stands before ``alerts``."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the global ones but one."""
        return [each for each in super().get_params(ctx) if each in self.params or "--quiet" not in each.opts]


@click.group(cls=ListingGroup, example="dagbook alerts explain nightly")
def alerts() -> None:
    """Show open alerts and their receipts; set what is reported to whom. Goes through the server if one is running.

    Without a command it prints the open alerts.
    """


@alerts.command("list", example="dagbook alerts list")
@with_api()
async def list_alerts(api: Api) -> None:
    """Print the open alerts, the newest first, at most 100."""
    await _print(api, {"open": "true"}, "nothing is wrong: no alert is open")


@alerts.command(example="dagbook alerts history --dag nightly")
@click.option("--dag", default="", metavar="DAG", help="Alerts about this DAG only.")
@click.option("--dropped", is_flag=True, help="Messages that were dropped, with their ids for `alerts resend`.")
@with_api()
async def history(api: Api, *, dag: str, dropped: bool) -> None:
    """Print past alerts, or the messages that were dropped, the newest first, at most 100."""
    if not dropped:
        await _print(api, {"open": "false", "dag": dag}, "there is no past alert")
        return
    found = await api.get(_DELIVERIES, AlertDeliveries, {"status": "dropped", "dag": dag})
    rows = [
        (each.id, each.channel, each.dag or "", each.purpose, each.due_at, each.reason or "")
        for each in found.deliveries
    ]
    print_table(("ID", "CHANNEL", "DAG", "MESSAGE", "DUE", "REASON"), rows, found, "no message was dropped")


async def _print(api: Api, query: dict[str, str], empty: str) -> None:
    found = await api.get(_ALERTS, Alerts, query)
    rows = [
        (str(each.id), each.kind, each.subject, each.opened_at, str(each.count), _told(each.told))
        for each in found.alerts
    ]
    print_table(("ID", "KIND", "SUBJECT", "SINCE", "COUNT", "TOLD"), rows, found, empty)


@alerts.command(example="dagbook alerts show 12")
@click.argument("alert_id", metavar="ID")
@with_api()
async def show(api: Api, *, alert_id: str) -> None:
    """Print an alert and every message about it, with the tries."""
    found = await api.get(f"{_ALERTS}/{segment(alert_id)}", Alert)
    if wants_json():
        print_json(found)
        return
    ended = f", ended at {found.closed_at} ({found.closed_by})" if found.closed_at else ""
    counted = "once" if found.count == 1 else f"{found.count} times"
    echo(f"{found.subject}  {found.kind}  since {found.opened_at}{ended}  {counted}", bold=True)
    if found.reason:
        echo(f"- {f'due {found.due_at}: ' if found.due_at else ''}{found.reason}")
    if found.acknowledged_at:
        note = f": {found.note}" if found.note else ""
        echo(f"- acknowledged by {found.acknowledged_by} at {found.acknowledged_at}{note}")
    for receipt in found.told:
        echo(f"- {receipt.purpose}: {describe(receipt)} [{receipt.id}]")
        for attempt in receipt.attempts:
            echo(f"    {attempt.at}  {attempt.code or '-'}  {attempt.ms} ms  {attempt.text or ''}".rstrip())


@alerts.command(example="dagbook alerts explain nightly")
@click.argument("dag", metavar="DAG")
@with_api()
async def explain(api: Api, *, dag: str) -> None:
    """Say which rules cover DAG and what they report to whom, or why none does."""
    found = await api.get(f"/dags/{segment(dag)}/alerts", DAGAlerts)
    lines = [
        f"the rule {rule.name} covers {found.dag} by {rule.word!r}: {', '.join(rule.on)} to {', '.join(rule.to)}"
        for rule in found.rules
    ]
    if not lines:
        lines = [f"no rule covers {found.dag}: {'; '.join(found.reasons) or 'none has a word that names it'}"]
    if found.by_mail:
        lines.append(f"a mail of the definition of {found.dag} reports its failures")
    report("\n".join(lines), found)


@alerts.command(example='dagbook alerts ack nightly --note "disk ordered"')
@click.argument("what", metavar="DAG|ID")
@click.option("--note", default="", metavar="TEXT", help="What is being done.")
@with_api()
async def ack(api: Api, *, what: str, note: str) -> None:
    """Acknowledge the open alerts of a DAG, or one alert: no reminder and no escalation of them follows."""
    keys = [what]
    if not what.isdigit():
        keys = [str(each.id) for each in (await api.get(_ALERTS, Alerts, {"open": "true", "dag": what})).alerts]
        if not keys:
            raise click.ClickException(f"no alert about {what} is open; `dagbook alerts` shows the open ones")
    done = [await api.post(f"{_ALERTS}/{segment(key)}/acknowledge", Alert, {"note": note}) for key in keys]
    report(f"acknowledged {count_of(len(done), 'alert')}", {"acknowledged": [each.id for each in done]})


@alerts.command(example="dagbook alerts resend 0192f3c0-7a1e-7c3b-9d2f-5a6b7c8d9e0f")
@click.argument("delivery", metavar="DELIVERY")
@with_api(mode=Mode.RUN)
async def resend(api: Api, *, delivery: str) -> None:
    """Send a message again; `dagbook alerts show` has the ids of messages."""
    found = await api.post(f"{_DELIVERIES}/{segment(delivery)}/resend", AlertReceipt)
    report(f"{found.channel}: is sent again under the id {found.id}", found)


@alerts.command(example="dagbook alerts test all --dag nightly")
@click.argument("rule", metavar="RULE")
@click.option("--dag", required=True, metavar="DAG", help="The DAG that the test is about.")
@with_api(mode=Mode.RUN)
async def test(api: Api, *, rule: str, dag: str) -> int:
    """Tell the channels of RULE of a DAG by an event that is marked as a test, and wait for their receipts.

    The exit status is 1 if the rule does not cover the DAG, or a channel was not told within 20 seconds.
    """
    return _report_test(await api.post(f"{_RULES}/{segment(rule)}/test", AlertTest, {"dag": dag}), dag)


def _report_test(tested: AlertTest, about: str) -> int:
    if wants_json():
        print_json(tested)
    elif not tested.receipts:
        echo(f"no channel is told about {about}: {tested.outcome}", err=True)
    for receipt in () if wants_json() else tested.receipts:
        echo(f"{receipt.channel}  {describe(receipt)}", err=receipt.status != "sent")
    return 0 if tested.told else 1


def describe(receipt: AlertReceipt) -> str:
    """Return what became of a message: ``told at 02:10:04 (200 in 310 ms)``."""
    last = receipt.attempts[-1] if receipt.attempts else None
    answer = (last.text or str(last.code or "")) if last else ""
    if receipt.status == "sent" and receipt.sent_at:
        code = f" ({last.code} in {format_duration(last.ms / 1000)})" if last else ""
        return f"told at {_clock(receipt.sent_at)}{code}"
    if receipt.status == "pending":
        tried = f"{receipt.tries} tried, last answer: {answer}" if last else ""
        next_try = f"next try {receipt.next_try_at}" if receipt.next_try_at else ""
        return f"not told yet: {'; '.join(filter(None, (tried, next_try)))}"
    return f"{receipt.status}: {receipt.reason or answer}"


def told_of(receipts: Sequence[AlertReceipt]) -> str:
    """Return which channels were told, when, and what was answered: ``ops at 02:10:04 (200 in 310 ms)``."""
    shown = _without_plans(receipts)
    names = [f"{each.channel} (mail: {each.mail.partition(' ')[0]})" if each.mail else each.channel for each in shown]
    return ", ".join(f"{name} {describe(each).removeprefix('told ')}" for name, each in zip(names, shown, strict=True))


def _told(receipts: Sequence[AlertReceipt]) -> str:
    """Return who was told, in short: ``ops 02:10:04 (200), pager due 02:25:00``; empty if no channel is."""
    newest = {receipt.channel: receipt for receipt in _without_plans(receipts)}
    texts = []
    for name, receipt in newest.items():
        text: str = receipt.status
        if receipt.status == "sent" and receipt.sent_at:
            text = f"{_clock(receipt.sent_at)} ({receipt.attempts[-1].code if receipt.attempts else 'sent'})"
        elif receipt.status == "pending":
            text = f"due {_clock(receipt.next_try_at or receipt.due_at)}"
        texts.append(f"{name} {text}")
    return ", ".join(texts)


def _without_plans(receipts: Sequence[AlertReceipt]) -> list[AlertReceipt]:
    """Leave out what is not sent, and reminders that are not due."""
    return [
        receipt
        for receipt in receipts
        if receipt.status != "dropped" and (receipt.purpose, receipt.status) != ("reminder", "pending")
    ]


def _clock(instant: str) -> str:
    return datetime.fromisoformat(instant).strftime("%H:%M:%S")


# -- channels --------------------------------------------------------------------------------------------------------


@alerts.group(cls=CommandGroup, example="dagbook alerts channel add ops slack --secret-file url.txt")
def channel() -> None:
    """Add, show, test and remove the channels that alerts are sent to."""


@channel.command("list", example="dagbook alerts channel list")
@with_api()
async def list_channels(api: Api) -> None:
    """Print the channels and whether their receivers answer."""
    found = await api.get(_CHANNELS, AlertChannels)
    rows = [
        (each.name, each.type, _place(each), each.state if each.enabled else "disabled", each.last_sent_at or "")
        for each in found.channels
    ]
    none = "there is no channel; `dagbook alerts channel add NAME TYPE` adds one"
    print_table(("NAME", "TYPE", "TO", "STATE", "LAST SENT"), rows, found, none)


@channel.command("show", example="dagbook alerts channel show ops")
@_name
@with_api()
async def show_channel(api: Api, *, name: str) -> None:
    """Print a channel; its secret is never shown."""
    _print_all(await api.get(f"{_CHANNELS}/{segment(name)}", AlertChannel))


@channel.command("add", example="dagbook alerts channel add ops slack --secret-file url.txt")
@_name
@click.argument("type", metavar="TYPE")
@click.option("--url", metavar="URL", help="A webhook, a topic of ntfy, or another server of telegram, pagerduty.")
@click.option("--to", multiple=True, metavar="ADDRESS", help="Recipient of a mail, repeatable; the chat of telegram.")
@click.option("--from", metavar="ADDRESS", help="Sender of a mail.")
@click.option("--secret-file", metavar="FILE", help="File with a chat's address, a token or a password; - reads stdin.")
@click.option("--interval", metavar="D", help="Least time between two messages of a chat or a mail, such as 60s.")
@click.option("--every", metavar="S", help="Time between two heartbeats of a ping, such as 60s.")
@click.option("--no-fail", is_flag=True, help="Let a ping report no failures to URL/fail.")
@click.option("--shared", is_flag=True, help="Let managers of DAGs use the channel in their rules.")
@with_api()
def add_channel(api: Api, /, *, name: str, secret_file: str | None, **options: object) -> Awaitable[None]:
    """Add the channel NAME of TYPE webhook, slack, discord, teams, telegram, ntfy, pagerduty, ping or mail.

    Secrets are read from a file: the address of slack, discord or teams, the token of telegram or ntfy, the routing
    key of pagerduty, the address of ping if it has no --url. The secret that signs a webhook is printed once.
    """
    fail = False if options.pop("no_fail") else None
    seconds = {f"{option}Seconds": seconds_of(f"--{option}", options.pop(option)) for option in ("interval", "every")}
    body = {"name": name, **options, "to": options["to"] or None, "fail": fail, **seconds}
    body["secret"] = None if secret_file is None else read_secret(secret_file)

    async def work() -> None:
        found = await api.post(_CHANNELS, AlertChannel, body)
        used = any(
            target.split()[0] == name for rule in (await api.get(_RULES, AlertRules)).rules for target in rule.to
        )
        unused = "" if used or found.every_seconds else "; no rule uses it yet"
        text = f"added the channel {found.name} ({found.type}, {_place(found)}){unused}"
        report(f"{text}\n{_secret(found)}" if found.secret else text, found)

    return work()


@channel.command("secret", example="dagbook alerts channel secret hook")
@_name
@with_api()
async def rotate(api: Api, *, name: str) -> None:
    """Make a new secret for the webhook or ping NAME and print it; the old one signs beside it for 24 hours."""
    found = await api.post(f"{_CHANNELS}/{segment(name)}/secret", AlertChannel)
    report(_secret(found), found)


@channel.command("enable", example="dagbook alerts channel enable ops")
@_name
@with_api()
async def enable_channel(api: Api, *, name: str) -> None:
    """Send to the channel NAME again."""
    found = await api.patch(f"{_CHANNELS}/{segment(name)}", AlertChannel, {"enabled": True})
    report(f"enabled the channel {name}", found)


@channel.command("disable", example="dagbook alerts channel disable ops")
@_name
@with_api()
async def disable_channel(api: Api, *, name: str) -> None:
    """Send nothing to the channel NAME, and drop what waits for it."""
    found = await api.patch(f"{_CHANNELS}/{segment(name)}", AlertChannel, {"enabled": False})
    report(f"disabled the channel {name}; what waited for it was dropped", found)


@channel.command("remove", example="dagbook alerts channel remove ops")
@_name
@with_api()
async def remove_channel(api: Api, *, name: str) -> None:
    """Remove the channel NAME, which no rule may use."""
    await api.act("DELETE", f"{_CHANNELS}/{segment(name)}")
    report(f"removed the channel {name}", {"removed": name})


@channel.command("test", example="dagbook alerts channel test ops")
@_name
@with_api(mode=Mode.RUN)
async def test_channel(api: Api, *, name: str) -> int:
    """Send a test to the channel NAME, and wait for its receipt; the exit status is 1 without one."""
    return _report_test(await api.post(f"{_CHANNELS}/{segment(name)}/test", AlertTest), name)


def _secret(found: AlertChannel) -> str:
    return f"secret (shown once): {found.secret}"


def _place(found: AlertChannel) -> str:
    return ", ".join(found.to or ()) or found.url or found.host or ""


def _print_all(found: AlertChannel | AlertRule) -> None:
    """Print everything about a channel or a rule."""
    values = msgspec.to_builtins(found)
    rows = [(name, ", ".join(value) if isinstance(value, list) else str(value)) for name, value in values.items()]
    print_table(("FIELD", "VALUE"), rows, found)


# -- rules -----------------------------------------------------------------------------------------------------------


@alerts.group(cls=CommandGroup, example="dagbook alerts rule add all --match '*' --on failed --to ops")
def rule() -> None:
    """Add, show and remove rules: what is reported of which DAGs to whom."""


@rule.command("list", example="dagbook alerts rule list")
@with_api()
async def list_rules(api: Api) -> None:
    """Print the rules, and how many DAGs each covers."""
    found = await api.get(_RULES, AlertRules)
    rows = [
        (
            *(each.name, " ".join(each.match), ", ".join(each.on), ", ".join(each.to)),
            str(each.covers or 0) if each.enabled else "disabled",
        )
        for each in found.rules
    ]
    none = "there is no rule; `dagbook alerts rule add NAME --match WORD --on KIND --to CHANNEL` adds one"
    print_table(("NAME", "MATCH", "ON", "TO", "COVERS"), rows, found, none)


@rule.command("show", example="dagbook alerts rule show all")
@_name
@with_api()
async def show_rule(api: Api, *, name: str) -> None:
    """Print a rule."""
    _print_all(await api.get(f"{_RULES}/{segment(name)}", AlertRule))


@rule.command("add", cls=_RuleOptions, example="dagbook alerts rule add all --match '*' --on failed --to ops")
@_name
@click.option("--match", multiple=True, metavar="WORD", help="DAGs: a pattern or tag:T, with ! to exclude.")
@click.option("--on", multiple=True, required=True, metavar="KIND", help="What is reported, as failed or 'overdue 2h'.")
@click.option("--to", multiple=True, required=True, metavar="CHANNEL", help="Who is told: a channel, or 'pager +15m'.")
@click.option("--after", type=int, default=1, metavar="N", help="From the N-th time in a row on; 1 by default.")
@click.option("--remind", metavar="D", help="Time between reminders, 0s for none; 24h by default.")
@click.option("--quiet", metavar="SPAN", help="Hours without messages, as 22:00-07:00 ZONE.")
@click.option("--dag", metavar="DAG", help="A rule for this DAG alone, instead of --match.")
@with_api()
def add_rule(api: Api, /, *, name: str, remind: str | None, **options: object) -> Awaitable[None]:
    """Add the rule NAME. Rules add up: none shuts off another.

    KIND is failed, partial, aborted, succeeded, waiting, missed, 'overdue 2h', 'slow 10m' or 'slow x3', 'queued 10m',
    server or channel; --on is repeatable.
    """
    seconds = seconds_of("--remind", remind)
    body = {"name": name, **options, **({} if seconds is None else {"remindSeconds": seconds})}

    async def work() -> None:
        found = await api.post(_RULES, AlertRule, body)
        report(f"added the rule {found.name}: covers {count_of(found.covers or 0, 'DAG')}", found)

    return work()


@rule.command("enable", example="dagbook alerts rule enable all")
@_name
@with_api()
async def enable_rule(api: Api, *, name: str) -> None:
    """Report events by the rule NAME again."""
    report(f"enabled the rule {name}", await _switch(api, name, enabled=True))


@rule.command("disable", example="dagbook alerts rule disable all")
@_name
@with_api()
async def disable_rule(api: Api, *, name: str) -> None:
    """Report nothing by the rule NAME until it is enabled."""
    report(f"disabled the rule {name}", await _switch(api, name, enabled=False))


async def _switch(api: Api, name: str, *, enabled: bool) -> AlertRule:
    path = f"{_RULES}/{segment(name)}"
    found = msgspec.to_builtins(await api.get(path, AlertRule)) | {"enabled": enabled}
    return await api.put(path, AlertRule, msgspec.convert(found, SetAlertRule))


@rule.command("remove", example="dagbook alerts rule remove all")
@_name
@with_api()
async def remove_rule(api: Api, *, name: str) -> None:
    """Remove the rule NAME."""
    await api.act("DELETE", f"{_RULES}/{segment(name)}")
    report(f"removed the rule {name}", {"removed": name})
