"""Where steps work: containers, registries and remote hosts (DAG format 2.13 to 2.15)."""

from __future__ import annotations

from typing import Any

from app.spec.build.field import Field, describe
from app.spec.build.pairs import env
from app.spec.build.scalars import boolean, is_number, lowered, text, texts, trimmed
from app.spec.build.scalars import port as any_port
from app.spec.build.shape import Shape, object_of
from app.spec.model import Container, Ssh

_TRUE = ("1", "t", "T", "true", "True", "TRUE")
_FALSE = ("0", "f", "F", "false", "False", "FALSE")
POLICIES: dict[object, str] = {
    **{word: word for word in ("always", "missing", "never")},
    **dict.fromkeys(_TRUE, "always"),
    **dict.fromkeys(_FALSE, "never"),
}
_CREDENTIALS = ("username", "password", "auth")


def container(field: Field) -> Container | None:
    """Read the container of a run; it must name an image."""
    said = CONTAINER.read(field)
    if said is None:
        return None
    fields = said.fields
    fields["working_dir"] = fields.pop("work_dir", "") or fields.get("working_dir", "")
    if not fields.get("image"):
        if not said.refused("image"):
            field.refuse("a container needs an image; name one")
        return None
    return Container(**fields)


def registry_auths(field: Field) -> dict[str, str | dict[str, str]] | None:
    """Read credentials by host; one text stands for all hosts, as ``_json``."""
    match field.value:
        case str():
            return {"_json": field.value}
        case dict():
            return {host: _credentials(entry) for host, entry in field.entries()}
        case _:
            field.expect("a text or a map of hosts")
            return None


def _credentials(field: Field) -> str | dict[str, str]:
    value = field.value
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return {}
    found: dict[str, Any] = {key: value[key].value for key in _CREDENTIALS if key in value}
    return {key: entry for key, entry in found.items() if isinstance(entry, str)}


def _pull_policy(field: Field) -> str | None:
    value = field.value
    if isinstance(value, bool):
        return "always" if value else "never"
    policy = POLICIES.get(value) if isinstance(value, str) else None
    if policy is None:
        field.refuse(f"must be always, missing, never, true or false, not {describe(value)}")
    return policy


def _ssh_port(field: Field) -> str | None:
    if isinstance(field.value, str) or is_number(field.value):
        return any_port(field)
    field.expect("a port as text or number")
    return None


CONTAINER = Shape(
    {
        "image": ("image", text),
        "pullPolicy": ("pull_policy", _pull_policy),
        "env": ("env", env),
        "volumes": ("volumes", texts),
        "user": ("user", text),
        "workingDir": ("working_dir", text),
        "workDir": ("work_dir", text),
        "platform": ("platform", text),
        "network": ("network", text),
        "ports": ("ports", texts),
        "keepContainer": ("keep_container", boolean),
        "startup": ("startup", lowered),
        "command": ("command", texts),
        "waitFor": ("wait_for", lowered),
        "logPattern": ("log_pattern", text),
        "restartPolicy": ("restart_policy", trimmed),
    },
)
SSH = Shape(
    {
        "user": ("user", text),
        "host": ("host", text),
        "port": ("port", _ssh_port),
        "key": ("key", text),
        "password": ("password", text),
        "strictHostKey": ("strict_host_key", boolean),
        "knownHostFile": ("known_host_file", text),
    },
)
ssh = object_of(SSH, Ssh)
