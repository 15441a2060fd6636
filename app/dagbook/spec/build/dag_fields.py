"""Fields of a DAG: name, type, tags, schedules, mail, secrets, tracing and the limit of outputs (DAG format 2)."""

from __future__ import annotations

from dagbook.spec.build.field import Field, Fields, describe, unwrap
from dagbook.spec.build.object_schema import (
    Key,
    Member,
    ObjectSchema,
    map_of,
    members,
    refuse_unknown_key,
    warn_unknown_keys,
)
from dagbook.spec.build.scalars import boolean, exact_text_map, loose_port, non_zero, recipients, text, trimmed
from dagbook.spec.check import name_error
from dagbook.spec.model import (
    LARGEST_OUTPUT_SIZE,
    Mail,
    MailOn,
    Otel,
    RunConfig,
    Schedule,
    Secret,
    Smtp,
    is_variable_name,
)
from dagbook.spec.problem import quoted
from dagbook.spec.reading.rendering import render
from dagbook.spec.schemas import FILLED, LIST, NUMBER, TEXT, accepts, any_of, ignored_values, one_word, reference
from dagbook.spec.time.cron import parse
from dagbook.spec.time.duration import duration_seconds
from dagbook.spec.tracing import find_problem

_DAG_TYPES = ("chain", "graph")
_MAX_EXPRESSIONS = 1_000  # each is asked for its next firing, by the scheduler and by lists
_CRON = {"type": "string", "pattern": r"^\s*((CRON_)?TZ=\S+\s+)?\S+(\s+\S+){4}\s*$"}
_CRONS = any_of(_CRON, {"type": "array", "items": _CRON})
_DURATION = r"^[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$"
_NOT_TEXTS = ["number", "boolean", "object", "array", "null"]

# A row of these tables has one line, or its meaning on a second one.
# fmt: off
SCHEDULE = members(
    Member("start", _CRONS, ["0 8 * * *", "0 20 * * *"], "When runs start."),
    Member("stop", _CRONS, "0 18 * * *", "When running runs are stopped."),
    Member("restart", _CRONS, "CRON_TZ=Europe/Berlin 0 12 * * *", "When running runs are stopped and started again."),
)
# fmt: on
# Tracing: a value of another type is ignored.
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
OTEL = members(
    Member("enabled", {}, True, "Whether runs are traced.", kind=bool),
    Member("endpoint", {}, "http://localhost:4318/v1/traces",
        "Where traces are sent to, by HTTP: an address that ends with /v1/traces.", kind=str),
    Member("headers", {}, {"Authorization": "Bearer ${OTEL_TOKEN}"}, "Headers that go with them.", kind=dict),
    Member("insecure", {}, True, "Send without TLS to an endpoint that has no scheme.", kind=bool),
    Member("resource", {}, {"service.name": "reports"}, "Attributes of all traces.", kind=dict),
    Member("timeout", any_of({"type": "string", "pattern": _DURATION}, {"type": _NOT_TEXTS}), "5s",
        "Time limit of one request, such as 5s; default 10s, at most 60s."),
)
SMTP = ObjectSchema(
    "smtp",
    Key("host", text, "mail.example.com", "Host of the mail server."),
    Key("port", loose_port, "587", "Port of the mail server; 25 without one."),
    Key("username", text, "dagbook", "User to log in as."),
    Key("password", text, "${SMTP_PASSWORD}", "Password to log in with."),
    model=Smtp,
)
MAIL_ON = ObjectSchema(
    "mailOn",
    Key("failure", boolean, True, "Send errorMail after a run that failed."),
    Key("success", boolean, True, "Send infoMail after a run that succeeded."),
    Key("wait", boolean, True, "Send waitMail when nothing but approvals is left to wait for.", since="1.30"),
    model=MailOn,
)
MAIL = ObjectSchema(
    "mail",
    Key("from", trimmed, "dagbook@example.com", "Address of the sender.", name="sender"),
    Key("to", recipients, ["team@example.com", "boss@example.com"], "Address of the recipient, or a list of them."),
    Key("prefix", trimmed, "[reports]", "Prefix of the subject."),
    Key("attachLogs", boolean, True, "Attach the logs of the steps."),
    model=Mail,
)
SECRET = ObjectSchema(
    "secret",
    Key("name", text, "TOKEN", "The variable that gets the value.", values=FILLED),
    Key("provider", text, "env", "Where the value is: env, file, vault, or a command.", values=FILLED),
    Key("key", text, "REPORT_TOKEN", "The variable, file, path in Vault, or key of the command.", values=FILLED),
    Key("options", exact_text_map, {"version": "2"}, "Options of vault: field and version; other providers have none."),
    model=Secret,
    required=("name", "provider", "key"),
)
RUN_CONFIG = ObjectSchema(
    "runConfig",
    Key("disableParamEdit", boolean, True, "Do not offer to edit parameters."),
    Key("disableRunIdEdit", boolean, True, "Do not offer to edit the run's id."),
    model=RunConfig,
)
# fmt: on


@accepts({"type": "string", "pattern": r"^\s*[A-Za-z0-9_.-]{0,40}\s*$"})
def dag_name(field: Field) -> str | None:
    name = trimmed(field)
    fault = name_error(name) if name else ""
    if fault:
        field.refuse(fault)
        return None
    return name


@accepts(one_word(_DAG_TYPES, blank=True))
def dag_type(field: Field) -> str | None:
    word = trimmed(field)
    if word is None:
        return None
    if not word:
        return _DAG_TYPES[0]
    if word in _DAG_TYPES:
        return word
    if word == "agent":
        field.refuse('the type "agent" is reserved and not supported; write graph or chain')
    else:
        field.refuse(f"must be graph or chain, not {describe(word)}")
    return None


@accepts(any_of(TEXT, LIST, ignored_values("number", "boolean", "object")))
def tags(field: Field) -> tuple[str, ...]:
    match field.value:
        case str():
            return tuple(tag.strip().lower() for tag in field.value.split(",") if tag.strip())
        case list():
            return tuple(render(unwrap(node)).strip().lower() for node in field.value)
        case _:
            field.warn(f"is ignored: it must be a text or a list of texts, not {describe(field.value)}")
            return ()


@accepts(any_of({"const": ""}, *_CRONS["anyOf"], map_of(SCHEDULE, others=False)))
def schedule(field: Field) -> Schedule | None:
    """Read one expression, a list of them, or a map of those for each action."""
    match field.value:
        case "":
            return Schedule()
        case str() | list():
            return Schedule(start=_expressions(field))
        case dict():
            return Schedule(**_by_action(field))
        case _:
            field.expect("a text, a list or a map with start, stop and restart")
            return None


def _by_action(field: Field) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for key, entry in field.entries():
        if key not in SCHEDULE:
            refuse_unknown_key(field, key, list(SCHEDULE))
        elif isinstance(entry.value, str | list):
            found[key] = _expressions(entry)
        else:
            entry.expect("a cron expression or a list of them")
    return found


def _expressions(field: Field) -> tuple[str, ...]:
    items = [field] if isinstance(field.value, str) else list(field.items())
    if len(items) > _MAX_EXPRESSIONS:
        field.refuse(f"may have {_MAX_EXPRESSIONS:,} expressions, these are {len(items):,}")
        return ()
    read = [_expression(item) for item in items]
    return tuple(expression for expression in read if expression is not None)


def _expression(item: Field) -> str | None:
    if not isinstance(item.value, str):
        item.expect("a cron expression as text")
        return None
    if item.report.full:  # further problems are dropped, and the search for zones is slow
        return None
    try:
        parse(item.value)
    except ValueError as error:
        item.refuse(f"{quoted(item.value)} is not a schedule: {error}")
        return None
    return item.value


@accepts({"type": "array", "items": reference("secret")})
def secrets(field: Field) -> tuple[Secret, ...] | None:
    """Read the list; each entry must be complete, and its name unique."""
    if not isinstance(field.value, list):
        field.expect("a list of maps with name, provider and key")
        return None
    found: dict[str, Secret] = {}
    for item in field.items():
        parsed = SECRET.read(item)
        if parsed is None:
            continue
        missing = [name for name in SECRET.required if not parsed.values.get(name)]
        for name in missing:
            if not parsed.refused(name):
                item.refuse(f"this secret has no {name}; add one")
        if missing:
            continue
        secret = Secret(**parsed.values)
        if not is_variable_name(secret.name):
            named = parsed.fields["name"]
            named.report.warn(
                named.path,
                f"{quoted(secret.name)} is no name of a variable: programs of steps do not get it, only texts that "
                "Dagbook evaluates; a name has letters, digits and _, and does not begin with a digit",
            )
        if secret.name in found:
            parsed.fields["name"].refuse(f"the secret {quoted(secret.name)} is already defined; give it another name")
        else:
            found[secret.name] = secret
    return tuple(found.values())


@accepts(map_of(OTEL, others=True))
def otel(field: Field) -> Otel | None:
    """Read the settings of tracing; a value of another type is ignored."""
    if not isinstance(field.value, dict):
        field.expect("a map")
        return None
    warn_unknown_keys(field, list(OTEL))
    value = {key: unwrap(node) for key, node in field.value.items()}
    fields: Fields = {
        key: value[key] for key, member in OTEL.items() if key != "timeout" and isinstance(value.get(key), member.kind)
    }
    if "headers" in fields:
        fields["headers"] = {key: text for key, text in fields["headers"].items() if isinstance(text, str)}
    endpoint, may_be_enabled = fields.get("endpoint"), fields.get("enabled", True)  # by the base configuration
    if endpoint and may_be_enabled and (problem := find_problem(Otel(enabled=True, endpoint=endpoint))):
        field.at("endpoint", field.members["endpoint"]).warn(problem)
    return Otel(**fields, timeout_seconds=_timeout(field))


def _timeout(field: Field) -> float:
    node = field.members.get("timeout")
    if node is None or not isinstance(node.value, str):
        return 0.0
    seconds = duration_seconds(node.value)
    if seconds is None:
        field.at("timeout", node).refuse(f"{quoted(node.value)} is not a duration such as 5s or 1m30s")
    return seconds or 0.0


@accepts(NUMBER)
def output_size(field: Field) -> int | None:
    """Read the limit of output variables; 0 is the default."""
    size = non_zero(field)
    if size is not None and size > LARGEST_OUTPUT_SIZE:
        field.warn(f"is more than {LARGEST_OUTPUT_SIZE}, the largest possible limit, which applies instead")
        return LARGEST_OUTPUT_SIZE
    return size
