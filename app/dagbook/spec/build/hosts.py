"""Where steps run: containers, registries and remote hosts (DAG format 2.13 to 2.15; 1.30, 3)."""

from __future__ import annotations

from typing import Any

from dagbook.spec.build.commands import shell
from dagbook.spec.build.env_params import container_env
from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.hints import join_words
from dagbook.spec.build.object_schema import ObjectSchema, object_of
from dagbook.spec.build.scalars import (
    FALSE_WORDS,
    TRUE_WORDS,
    boolean,
    is_number,
    loose_boolean,
    render_scalar,
    render_scalars,
    text,
)
from dagbook.spec.build.scalars import port as any_port
from dagbook.spec.model import Container, Ssh

POLICIES: dict[object, str] = {
    **{word: word for word in ("always", "missing", "never")},
    **dict.fromkeys(sorted(TRUE_WORDS), "always"),
    **dict.fromkeys(sorted(FALSE_WORDS), "never"),
    "": "",
}
_CREDENTIALS = ("username", "password", "auth")


def container(field: Field) -> Container | None:
    """Read a container: the name of a running one, or a map with either that or an image."""
    if isinstance(field.value, str):
        name = field.value.strip()
        if not name:
            field.refuse("is empty; name a container that runs already, or give a map with image")
        return Container(exec=name) if name else None
    parsed = CONTAINER.read(field)
    if parsed is None:
        return None
    fields = {name: value for name, value in parsed.values.items() if value}
    if work_dir := fields.pop("work_dir", ""):
        fields["working_dir"] = work_dir
    fault = _container_error(fields)
    if fault and not parsed.refused("exec", "image"):
        field.refuse(fault)
    return None if fault or parsed.refused("exec", "image") else Container(**fields)


def _container_error(fields: dict[str, Any]) -> str:
    """Return the error of a container as a whole; an empty text if it is valid."""
    if fields.get("exec") and fields.get("image"):
        return "exec and image cannot stand together: name a container that runs already, or what one is made from"
    if not fields.get("exec"):
        return "" if fields.get("image") else "a container needs an image, or exec with the name of one that runs"
    wrong = [key for key, name in ONLY_WITH_IMAGE.items() if fields.get(name)]
    if not wrong:
        return ""
    return (
        f"{join_words(wrong)} cannot stand beside exec, whose container runs already; leave out, or give image instead"
    )


def step_container(field: Field) -> Container | None:
    """Read the container of one step; fields that only affect a run's container get a warning."""
    found = container(field)
    if found is None or found.exec or not isinstance(field.value, dict):
        return found
    spellings = {key.lower(): name for key, name in _ONLY_OF_RUNS.items()}
    for key, entry in field.entries():
        if getattr(found, spellings.get(key.lower(), ""), None):
            entry.warn("has no effect in the container of a step, which runs the step's command alone")
    return found


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


def _stripped(field: Field) -> str | None:
    found = render_scalar(field)
    return None if found is None else found.strip()


def _word(field: Field) -> str | None:
    found = _stripped(field)
    return None if found is None else found.lower()


def _pattern(field: Field) -> str | None:
    """Read a pattern in which blanks count, unless it is blank as a whole."""
    found = render_scalar(field)
    return "" if found is not None and not found.strip() else found


CONTAINER = ObjectSchema(
    {
        "exec": ("exec", _stripped),
        "image": ("image", _stripped),
        "name": ("name", _stripped),
        "pullPolicy": ("pull_policy", _pull_policy),
        "env": ("env", container_env),
        "volumes": ("volumes", render_scalars),
        "user": ("user", _stripped),
        "workingDir": ("working_dir", _stripped),
        "workDir": ("work_dir", _stripped),
        "platform": ("platform", _stripped),
        "network": ("network", _stripped),
        "ports": ("ports", render_scalars),
        "keepContainer": ("keep_container", loose_boolean),
        "startup": ("startup", _word),
        "command": ("command", render_scalars),
        "waitFor": ("wait_for", _word),
        "logPattern": ("log_pattern", _pattern),
        "restartPolicy": ("restart_policy", _stripped),
    },
    expected="the name of a container that runs already, or a map with exec or image",
    is_open=True,
)
_ONLY_OF_RUNS = {
    key: name
    for key, name in CONTAINER.names.items()
    if name in ("startup", "command", "wait_for", "log_pattern", "restart_policy")
}
ONLY_WITH_IMAGE = {
    key: name
    for key, name in CONTAINER.names.items()
    if name not in ("exec", "image", "user", "working_dir", "work_dir", "env")
}
SSH = ObjectSchema(
    {
        "user": ("user", text),
        "host": ("host", text),
        "port": ("port", _ssh_port),
        "key": ("key", text),
        "password": ("password", text),
        "strictHostKey": ("strict_host_key", boolean),
        "knownHostFile": ("known_host_file", text),
        "shell": ("shell", shell),
    },
)
ssh = object_of(SSH, Ssh)
