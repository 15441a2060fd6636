"""Schedules, mail, secrets, tracing and the limit of outputs of a DAG (DAG format 2, 2.6, 2.11, 2.16 and 2.17)."""

from __future__ import annotations

from dagbook.spec.build.field import Field, unwrap
from dagbook.spec.build.object_schema import ObjectSchema, refuse_unknown_key, warn_unknown_keys
from dagbook.spec.build.scalars import boolean, exact_text_map, loose_port, non_zero, text, trimmed
from dagbook.spec.model import LARGEST_OUTPUT_SIZE, Mail, Otel, Schedule, Secret, Smtp, is_variable_name
from dagbook.spec.problem import quoted
from dagbook.spec.time.cron import parse
from dagbook.spec.time.duration import duration_seconds

ACTIONS = ("start", "stop", "restart")
MAX_EXPRESSIONS = 1_000  # each is asked for its next firing, by the scheduler and by lists


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
        if key not in ACTIONS:
            refuse_unknown_key(field, key, ACTIONS)
        elif isinstance(entry.value, str | list):
            found[key] = _expressions(entry)
        else:
            entry.expect("a cron expression or a list of them")
    return found


def _expressions(field: Field) -> tuple[str, ...]:
    if isinstance(field.value, list) and len(field.value) > MAX_EXPRESSIONS:
        field.refuse(f"may have {MAX_EXPRESSIONS:,} expressions, these are {len(field.value):,}")
        return ()
    items = [field] if isinstance(field.value, str) else list(field.items())
    return tuple(item.value for item in items if _is_expression(item))


def _is_expression(item: Field) -> bool:
    if not isinstance(item.value, str):
        item.expect("a cron expression as text")
        return False
    if item.report.full:  # further problems are dropped, and the search for zones is slow
        return False
    try:
        parse(item.value)
    except ValueError as error:
        item.refuse(f"{quoted(item.value)} is not a schedule: {error}")
        return False
    return True


SMTP = ObjectSchema(
    {
        "host": ("host", text),
        "port": ("port", loose_port),
        "username": ("username", text),
        "password": ("password", text),
    },
)


def smtp(field: Field) -> Smtp | None:
    """Read the server, or the part of it that is given: the base configuration may have the rest (1.30, 12)."""
    parsed = SMTP.read(field)
    return Smtp(**parsed.values) if parsed else None


def mail(field: Field) -> Mail | None:
    """Read a notification, or the part of it that is given: the base configuration may have the rest (1.30, 12)."""
    parsed = MAIL.read(field)
    return Mail(**parsed.values) if parsed else None


def _recipients(field: Field) -> tuple[str, ...] | None:
    match field.value:
        case str():
            entries = [field.value]
        case list():
            entries = [item.value for item in field.items() if isinstance(item.value, str)]
        case _:
            field.expect("a text or a list of texts")
            return None
    return tuple(entry.strip() for entry in entries if entry.strip())


MAIL = ObjectSchema(
    {
        "from": ("sender", trimmed),
        "to": ("to", _recipients),
        "prefix": ("prefix", trimmed),
        "attachLogs": ("attach_logs", boolean),
    },
)


SECRET = ObjectSchema(
    {
        "name": ("name", text),
        "provider": ("provider", text),
        "key": ("key", text),
        "options": ("options", exact_text_map),
    },
)
_REQUIRED = ("name", "provider", "key")


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
        missing = [name for name in _REQUIRED if not parsed.values.get(name)]
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


def otel(field: Field) -> Otel | None:
    """Read the settings of tracing, which Dagbook does not have; a value of another type is ignored."""
    if not isinstance(field.value, dict):
        field.expect("a map")
        return None
    warn_unknown_keys(field, (*KINDS, "timeout"))
    value = unwrap(field.node)
    fields = {key: value[key] for key, kind in KINDS.items() if isinstance(value.get(key), kind)}
    if "headers" in fields:
        fields["headers"] = {key: text for key, text in fields["headers"].items() if isinstance(text, str)}
    if fields.get("enabled", "endpoint" in fields):
        field.warn("has no effect: Dagbook sends no traces")
    return Otel(**fields, timeout_seconds=_timeout(field))


KINDS: dict[str, type] = {"enabled": bool, "endpoint": str, "headers": dict, "insecure": bool, "resource": dict}


def _timeout(field: Field) -> float:
    node = field.value.get("timeout")
    if node is None or not isinstance(node.value, str):
        return 0.0
    seconds = duration_seconds(node.value)
    if seconds is None:
        field.at("timeout", node).refuse(f"{quoted(node.value)} is not a duration such as 5s or 1m30s")
    return seconds or 0.0


def output_size(field: Field) -> int | None:
    """Read the limit of output variables; 0 is the default."""
    size = non_zero(field)
    if size is not None and size > LARGEST_OUTPUT_SIZE:
        field.warn(f"is more than {LARGEST_OUTPUT_SIZE}, the largest possible limit, which applies instead")
        return LARGEST_OUTPUT_SIZE
    return size
