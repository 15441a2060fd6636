"""``dagbook triggers``: what starts runs from outside, and what became of each event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import click
import msgspec

from dagbook.api.schemas.triggers import ReceivedEvent, Trigger, TriggerEvent, TriggerEvents, Triggers, TriggerTest
from dagbook.cli.api import Api, check, segment, with_api
from dagbook.cli.commands import ListingGroup, read_file, read_secret, seconds_of
from dagbook.cli.output import count_of, echo_bytes, print_table, report
from dagbook.cli.transport import Mode

_TRIGGERS = "/triggers"
_SETTINGS = (
    *("header", "prefix", "encoding", "time_header", "signed", "repeats", "key", "after", "on"),
    *("files", "url", "settle", "marker", "changed", "existing"),
)
_ENDS = ["succeeded", "partial", "failed", "aborted"]
_LOOKS = {"files": "files", "sftp": "url", "http": "url"}  # the option that says where, by kind
_KINDS = {"webhook": "scheme", "after": "after"} | _LOOKS
_name = click.argument("name", metavar="NAME")
_event_id = click.argument("event_id", metavar="ID")
F = TypeVar("F", bound=Callable[..., object])


def _with_options(function: F) -> F:
    """Add the options that both ``add`` and ``set`` have."""
    options = (
        click.option("--filter", "filters", multiple=True, metavar="TEXT", help="A condition, as 'json:/ref = main'."),
        click.option("--param", "params", multiple=True, metavar="NAME=POINTER", help="A param, as SHA=json:/after."),
        click.option("--queue", metavar="QUEUE", help="The queue of the runs, if not that of the DAG."),
        click.option("--priority", type=int, metavar="N", help="Their priority in it."),
        click.option("--per-minute", type=int, metavar="N", help="Requests that are taken in a minute; 120."),
        click.option("--max-bytes", type=int, metavar="N", help="The longest body; 1 MiB."),
        click.option("--max-waiting", type=int, metavar="N", help="Queued runs, beyond which events wait; 1000."),
        click.option("--collapse/--no-collapse", default=None, help="Of several events that wait, start the newest."),
        click.option("--every", metavar="TIME", help="Between two looks, as 15m; 60s."),
        click.option("--settle", metavar="TIME", help="How long a file must not have changed; 10s."),
        click.option(
            "--marker", metavar="END", help="A file is whole when there is one with its name and this, as .done."
        ),
        click.option(
            "--changed", metavar="POINTER", help="http: where its JSON says that it has changed, as json:/id."
        ),
        click.option("--together/--no-together", default=None, help="Make one event of all new files of a look."),
        click.option("--host", metavar="HOST", help="The machine that looks, if not any server."),
        click.option(
            "--key-file", metavar="FILE", help="sftp: the private key to log in with, which is stored encrypted."
        ),
        click.option(
            "--secret-file", metavar="FILE", help="A secret of the sender, a password or a token; - reads stdin."
        ),
        click.option("--on", multiple=True, type=click.Choice(_ENDS), help="after: how these runs end; succeeded."),
        click.option("--key", metavar="POINTER", help="Where the body has the id of an event, as json:/id."),
        click.option("--header", metavar="NAME", help="hmac: the header of the signature."),
        click.option("--prefix", metavar="TEXT", help="hmac: what stands before the signature, as sha256=."),
        click.option("--encoding", type=click.Choice(["hex", "base64"]), help="hmac: that of the signature; hex."),
        click.option("--time-header", metavar="NAME", help="hmac: the header of the time that is signed."),
        click.option("--signed", metavar="TEMPLATE", help="hmac: what is signed; {body}, or v0:{time}:{body}."),
        click.option("--repeats/--no-repeats", default=None, help="hmac: take a body again that was taken already."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _body_of(options: dict[str, object]) -> dict[str, object]:
    """Return the body of a request from options: those that are given."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    for option, name in (("settle", "settle"), ("every", "every_seconds")):
        if option in given:
            given[name] = seconds_of(f"--{option}", given.pop(option))
    settings = {_in_json(name): given.pop(name) for name in _SETTINGS if name in given}
    for option in ("key_file", "secret_file"):
        if isinstance(file := given.pop(option, None), str):
            given["secret"] = read_secret(file, f"--{option.replace('_', '-')}")
    if isinstance(pairs := given.pop("params", None), tuple):
        given["params"] = dict(_pair(each) for each in pairs if each)
    if isinstance(filters := given.pop("filters", None), tuple):
        given["filters"] = [each for each in filters if each]
    body = {_in_json(name): value for name, value in given.items()}
    return body | {"settings": settings} if settings else body


def _in_json(name: str) -> str:
    """Return the name of an option in JSON."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _pair(text: str) -> tuple[str, str]:
    name, equals, pointer = text.partition("=")
    if not equals:
        raise click.UsageError(f"--param: {text!r} is no mapping; write NAME=json:/a/b, NAME=header:X or NAME=output:Y")
    return name, pointer


@click.group(cls=ListingGroup, example="dagbook triggers add push --dag build --webhook github")
def triggers() -> None:
    """Start runs by what programs of others send. Goes through the server if one is running.

    Without a command it prints the triggers.
    """


@triggers.command("list", example="dagbook triggers list")
@with_api()
async def list_triggers(api: Api) -> None:
    """Print the triggers, with how many events wait or are dead."""
    found = await api.get(_TRIGGERS, Triggers)
    rows = [
        (
            *(each.name, each.dag or "", each.scheme or each.kind),
            each.waits_for or each.problem or (_state(each) if each.dag else "the DAG was deleted"),
            *(str(each.waiting), str(each.dead), each.last_event_at or ""),
        )
        for each in found.triggers
    ]
    none = "there is no trigger; `dagbook triggers add NAME --dag DAG --webhook SCHEME` adds one"
    print_table(("NAME", "DAG", "KIND", "STATE", "WAITING", "DEAD", "LAST EVENT"), rows, found, none)


@triggers.command(example="dagbook triggers show push")
@_name
@with_api()
async def show(api: Api, *, name: str) -> None:
    """Print a trigger; its secret is never shown."""
    _print_all(await api.get(_path(name), Trigger))


@triggers.command(example="dagbook triggers add push --dag build --webhook github --param SHA=json:/after")
@_name
@click.option("--dag", required=True, metavar="DAG", help="The stored DAG that is started.")
@click.option("--webhook", metavar="SCHEME", help="A request starts it: how the sender shows who it is.")
@click.option("--after", metavar="DAG", help="A run of another stored DAG starts it.")
@click.option("--files", metavar="GLOB", help="A new file starts it, as '/srv/inbox/*.csv'.")
@click.option("--sftp", metavar="URL", help="A new file on a server starts it, as 'sftp://me@example.org/out/*.csv'.")
@click.option("--http", metavar="URL", help="A change of what an address answers starts it.")
@click.option("--existing", is_flag=True, default=None, help="Also start what is there at the first look.")
@_with_options
@with_api()
def add(api: Api, /, *, name: str, **options: object) -> Awaitable[None]:
    """Add the trigger NAME: a webhook, what follows the runs of another DAG, or what looks for files or at an address.

    SCHEME is token, standard, github, gitlab, stripe or hmac. The secret of a webhook is printed once, unless the
    sender has made it and it is given by --secret-file. A param whose NAME ends in ! must be found in the event.
    """
    body = {"name": name, **_body_of(_kind_of(options))}

    async def work() -> None:
        found = await api.post(_TRIGGERS, Trigger, body)
        report("\n".join([f"trigger {found.name}: {_what(found)}", *_secret(found)]), found)

    return work()


@triggers.command("set", example="dagbook triggers set push --filter 'json:/ref = refs/heads/main'")
@_name
@click.option("--dag", metavar="DAG", help="The stored DAG that is started.")
@click.option("--after", metavar="DAG", help="The stored DAG whose runs it follows.")
@click.option("--files", metavar="GLOB", help="Other files to look for; those that are there start nothing.")
@click.option("--url", metavar="URL", help="Another address to look at; what is there starts nothing.")
@_with_options
@with_api()
def set_options(api: Api, /, *, name: str, **options: object) -> Awaitable[None]:
    """Change options of the trigger NAME; those that are not given stay.

    Filters and params replace all that there were; an empty one removes all. The secret before is taken for 24 hours,
    too.
    """
    body = _body_of(options)
    if not body:
        raise click.UsageError("give at least one option to change")

    async def work() -> None:
        if isinstance(settings := body.get("settings"), dict):
            body["settings"] = (await api.get(_path(name), Trigger)).settings | settings
        report(f"changed the trigger {name}", await api.patch(_path(name), Trigger, body))

    return work()


@triggers.command(example="dagbook triggers remove push")
@_name
@with_api()
async def remove(api: Api, *, name: str) -> None:
    """Remove the trigger NAME with its events; their runs stay."""
    await api.act("DELETE", _path(name))
    report(f"removed the trigger {name}", {"removed": name})


@triggers.command(example="dagbook triggers secret push")
@_name
@click.option("--secret-file", metavar="FILE", help="A secret that the sender has made; - reads stdin.")
@with_api()
def secret(api: Api, /, *, name: str, secret_file: str | None) -> Awaitable[None]:
    """Make a new secret for the trigger NAME and print it; the one before is taken for 24 hours, too."""
    body = {} if secret_file is None else {"secret": read_secret(secret_file)}

    async def work() -> None:
        found = await api.post(f"{_path(name)}/secret", Trigger, body)
        report("\n".join(_secret(found)) or f"changed the secret of the trigger {name}", found)

    return work()


@triggers.command(example="dagbook triggers pause push")
@_name
@with_api(mode=Mode.QUEUE)
async def pause(api: Api, *, name: str) -> None:
    """Keep the events of the trigger NAME, and start none until it is resumed."""
    report(f"paused the trigger {name}: its events wait", await api.post(f"{_path(name)}/pause", Trigger))


@triggers.command(example="dagbook triggers resume push")
@_name
@click.option("--discard", is_flag=True, help="Discard the events that wait, instead of starting them.")
@with_api(mode=Mode.QUEUE)
async def resume(api: Api, *, name: str, discard: bool) -> None:
    """Start the events of the trigger NAME again, those that wait first."""
    waiting = (await api.get(_path(name), Trigger)).waiting
    found = await api.post(f"{_path(name)}/resume", Trigger, {"discard": discard})
    what = f"; {count_of(waiting, 'event')} {'discarded' if discard else 'to start'}" if waiting else ""
    report(f"resumed the trigger {name}{what}", found)


@triggers.command(example="dagbook triggers events push --state dead")
@_name
@click.option("--state", default="", metavar="STATE", help="Events of this state only, as waiting, started or dead.")
@with_api()
async def events(api: Api, *, name: str, state: str) -> None:
    """Print the events of the trigger NAME, the newest first, at most 50."""
    found = await api.get(f"{_path(name)}/events", TriggerEvents, {"state": state} if state else None)
    rows = [
        (each.id, each.received_at, each.key, each.state, each.reason or "", each.dag_run_id or "")
        for each in found.events
    ]
    print_table(("ID", "TIME", "KEY", "STATE", "REASON", "RUN"), rows, found, "there is no such event")


@triggers.command(example="dagbook triggers event 0192f3c0-7a1e-7c3b-9d2f-5a6b7c8d9e0f")
@_event_id
@click.option("--body", is_flag=True, help="Write the body to standard output, byte by byte.")
@with_api()
async def event(api: Api, *, event_id: str, body: bool) -> None:
    """Print an event, with its headers and what the mapping of params gives, or its body alone."""
    found = await _find_event(api, event_id)
    if not body:
        _print_all(found)
        return
    answer = await api.send("GET", f"{_path_of(found)}/body")
    check(answer)
    echo_bytes(answer.content)


@triggers.command(example="dagbook triggers test push --body sample.json --header 'X-GitHub-Event: push'")
@_name
@click.option("--body", metavar="FILE", help="The body of the event; - reads stdin.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the event.")
@with_api()
def test(api: Api, /, *, name: str, body: str | None, headers: tuple[str, ...]) -> Awaitable[None]:
    """Print what the filters and params of the trigger NAME give for an event, and its run; nothing is started."""
    given = {key.strip(): value.strip() for key, _, value in (each.partition(":") for each in headers)}
    sample = {"body": "" if body is None else read_file("--body", body), "headers": given}

    async def work() -> None:
        _print_trial(await api.post(f"{_path(name)}/test", TriggerTest, sample))

    return work()


@triggers.command(example="dagbook triggers replay 0192f3c0-7a1e-7c3b-9d2f-5a6b7c8d9e0f --revision 17 --dry")
@_event_id
@click.option("--revision", default="current", metavar="N", help="The revision of the DAG, or current; current.")
@click.option("--dry", is_flag=True, help="Print the run that it would start, and start nothing.")
@with_api(mode=Mode.QUEUE)
def replay(api: Api, /, *, event_id: str, revision: str, dry: bool) -> Awaitable[None]:
    """Start a run for an event once more, also for one that a filter refused or that is dead."""
    if revision != "current" and not (revision.isascii() and revision.isdigit()):
        raise click.UsageError(f"--revision: {revision!r} is no number of a revision; write one, or current")
    body = {"dry": dry} | ({} if revision == "current" else {"revision": int(revision)})

    async def work() -> None:
        path = f"{_path_of(await _find_event(api, event_id))}/replay"
        if dry:
            _print_trial(await api.post(path, TriggerTest, body))
        else:
            found = await api.post(path, ReceivedEvent, body)
            report(f"replayed the event {event_id}: run {found.dag_run_id}", found)

    return work()


@triggers.command(example="dagbook triggers discard 0192f3c0-7a1e-7c3b-9d2f-5a6b7c8d9e0f")
@_event_id
@with_api(mode=Mode.QUEUE)
async def discard(api: Api, *, event_id: str) -> None:
    """Discard an event that waits or is dead, so that it starts nothing."""
    path = f"{_path_of(await _find_event(api, event_id))}/discard"
    report(f"discarded the event {event_id}", await api.post(path, TriggerEvent))


async def _find_event(api: Api, event_id: str) -> TriggerEvent:
    """Return the event of any trigger with this id; raises ClickException."""
    for trigger in (await api.get(_TRIGGERS, Triggers)).triggers:
        found = await api.find(f"{_path(trigger.name)}/events/{segment(event_id)}", TriggerEvent)
        if found is not None:
            return found
    raise click.ClickException(f"no trigger has an event {event_id!r}; `dagbook triggers events NAME` has their ids")


def _path_of(found: TriggerEvent) -> str:
    return f"{_path(found.trigger)}/events/{segment(found.id)}"


def _print_trial(found: TriggerTest) -> None:
    """Print what would become of an event."""
    rows = [("starts a run", "yes" if found.matches and found.plan else "no")]
    rows += [(name, value) for name, value in (("filter", found.filter), ("problem", found.problem)) if value]
    rows += [("event", f"{name}={value}") for name, value in found.params.items()]
    if plan := found.plan:
        rows += [("DAG", f"{plan.dag}, revision {plan.revision}"), ("queue", f"{plan.queue}, priority {plan.priority}")]
        rows += [("param", f"{name}={value}") for name, value in plan.params.items()]
        rows += [("step", name) for name in plan.steps]
    print_table(("WHAT", "VALUE"), rows, found)


def _kind_of(options: dict[str, object]) -> dict[str, object]:
    """Return the options with the kind of the trigger that they ask for; raises UsageError."""
    asked = {kind: place for kind in _KINDS if (place := options.pop(kind)) is not None}
    if len(asked) != 1:
        raise click.UsageError("give one of --webhook, --after, --files, --sftp and --http")
    ((kind, place),) = asked.items()
    return options | {"kind": kind, _KINDS[kind]: place}


def _looks(found: Trigger) -> str:
    """Say when a new trigger looks, and what it begins with."""
    where = f" on {found.host}" if found.host else ""
    text = f"looks every {found.every_seconds} s{where}"
    if found.kind == "files":
        text += ", and at once when the directory changes"
    if found.settings.get("existing"):
        return f"{text}; what is there already starts runs, too"
    if not found.baseline_at:
        return f"{text}; what is there at its first look starts nothing"
    if found.kind == "http":
        return f"{text}; what it answers now starts nothing"
    there = (
        "1 file is there already and starts" if found.items == 1 else f"{found.items} files are there already and start"
    )
    return f"{text}; {there} nothing"


def _state(found: Trigger) -> str:
    """Say how it is about a trigger that nothing keeps from starting runs."""
    if found.kind not in _LOOKS:
        return "ready"
    if not found.baseline_at:
        return f"waiting for a look on {found.host}" if found.host else "waiting for a look"
    return f"nothing new since {found.last_event_at or found.baseline_at} ({count_of(found.looks, 'look')})"


def _path(name: str) -> str:
    return f"{_TRIGGERS}/{segment(name)}"


def _what(found: Trigger) -> str:
    """Return what starts the runs of a trigger."""
    if found.kind in _LOOKS:
        return _looks(found)
    if found.kind != "after":
        return f"POST {found.path}"
    upstream, ends = found.settings["after"], found.settings["on"]
    words = " or ".join(map(str, ends)) if isinstance(ends, list) else ends
    return f"{found.dag} starts after each run of {upstream} that ends as {words}"


def _secret(found: Trigger) -> Iterable[str]:
    return [f"secret (shown once): {found.secret}"] if found.secret else []


def _print_all(found: Trigger | TriggerEvent) -> None:
    """Print everything about a trigger or an event."""
    values = msgspec.to_builtins(found).items()
    rows = [(name, each if isinstance(each, str) else msgspec.json.encode(each).decode()) for name, each in values]
    print_table(("FIELD", "VALUE"), rows, found)
