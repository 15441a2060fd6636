"""Where steps run: containers, registries and remote hosts (DAG format 2.13 to 2.15; 1.30, 3)."""

from __future__ import annotations

from dagbook.spec.build.commands import shell
from dagbook.spec.build.env_params import container_env
from dagbook.spec.build.field import Field, Fields
from dagbook.spec.build.hints import join_words
from dagbook.spec.build.object_schema import Key, ObjectSchema
from dagbook.spec.build.scalars import (
    boolean,
    loose_boolean,
    numeric_port,
    pattern,
    pull_policy,
    render_scalars,
    stripped,
    text,
    word,
)
from dagbook.spec.model import Container, Ssh
from dagbook.spec.schemas import MAP, NOT_BLANK, TEXT, accepts, any_of, reference

_CREDENTIALS = ("username", "password", "auth")
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
CONTAINER = ObjectSchema(
    "container",
    Key("exec", stripped, "web", "A container that runs already, instead of image.", since="1.28"),
    Key("image", stripped, "python:3.13-slim", "The image to make a container from."),
    Key("name", stripped, "reports",
        "Name of the container; without one, Dagbook or the daemon makes one up.", since="1.28"),
    Key("pullPolicy", pull_policy, "always",
        "When the image is pulled: always, missing, never; true is always, false never."),
    Key("env", container_env, [{"PGHOST": "db.example.com"}], "Environment variables of the container."),
    Key("volumes", render_scalars, ["./data:/data:ro", "cache:/cache"],
        "Mounts as source:target, with :ro or :rw behind."),
    Key("user", stripped, "1000:1000", "User inside the container."),
    Key("workingDir", stripped, "/data", "Directory inside the container."),
    Key("workDir", stripped, "/data", "The old spelling of workingDir."),
    Key("platform", stripped, "linux/amd64", "Platform of the image, such as linux/amd64."),
    Key("network", stripped, "host", "Network: bridge, host, none, container:NAME, or a name."),
    Key("ports", render_scalars, ["8080:80"], "Ports to publish, such as 8080:80."),
    Key("keepContainer", loose_boolean, True, "Leave the container after the run, or after the step whose own it is."),
    Key("startup", word, "entrypoint", "What keeps the container of a run running: keepalive, entrypoint or command."),
    Key("command", render_scalars, ["postgres", "-c", "fsync=off"], "What the container runs when startup is command."),
    Key("waitFor", word, "healthy", "When the container is ready: running or healthy."),
    Key("logPattern", pattern, "ready to accept connections",
        "A regular expression that its log has to show before it is ready."),
    Key("restartPolicy", stripped, "unless-stopped", "no, always or unless-stopped."),
    model=Container,
    defaults={"startup": "keepalive", "waitFor": "running"},
    expected="the name of a container that runs already, or a map with exec or image",
    is_open=True,
)
# fmt: on
_ONLY_OF_RUNS = ("startup", "command", "waitFor", "logPattern", "restartPolicy")
ONLY_WITH_IMAGE = [
    key for key in CONTAINER.keys if key not in ("exec", "image", "user", "workingDir", "workDir", "env")
]
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
SSH = ObjectSchema(
    "ssh",
    Key("user", text, "deploy", "User to log in as."),
    Key("host", text, "web1.example.com", "Host to log in to."),
    Key("port", numeric_port, 2222, "Port of the host, 22 when it is not given."),
    Key("key", text, "~/.ssh/id_ed25519", "File of the private key."),
    Key("password", text, "${SSH_PASSWORD}", "Password to log in with."),
    Key("strictHostKey", boolean, True,
        "Refuse hosts whose key is not known; true unless the server has another default."),
    Key("knownHostFile", text, "~/.ssh/known_hosts", "File of the known hosts."),
    Key("shell", shell, ["/bin/bash", "-e"],
        "The shell that runs each command there, as one text or a list; without one, the login shell.", since="1.30"),
    model=Ssh,
)
# fmt: on


@accepts(any_of(NOT_BLANK, reference("container")))
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


def _container_error(fields: Fields) -> str:
    """Return the error of a container as a whole; an empty text if it is valid."""
    if fields.get("exec") and fields.get("image"):
        return "exec and image cannot stand together: name a container that runs already, or what one is made from"
    if not fields.get("exec"):
        return "" if fields.get("image") else "a container needs an image, or exec with the name of one that runs"
    wrong = [key for key in ONLY_WITH_IMAGE if fields.get(CONTAINER.fields[key])]
    if not wrong:
        return ""
    return (
        f"{join_words(wrong)} cannot stand beside exec, whose container runs already; leave out, or give image instead"
    )


@accepts(any_of(NOT_BLANK, reference("container")))
def step_container(field: Field) -> Container | None:
    """Read the container of one step; fields that only affect a run's container get a warning."""
    found = container(field)
    if found is None or found.exec or not isinstance(field.value, dict):
        return found
    spellings = {key.lower(): CONTAINER.fields[key] for key in _ONLY_OF_RUNS}
    for key, entry in field.entries():
        if getattr(found, spellings.get(key.lower(), ""), None):
            entry.warn("has no effect in the container of a step, which runs the step's command alone")
    return found


@accepts(any_of(TEXT, MAP))
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
    found = {key: value[key].value for key in _CREDENTIALS if key in value}
    return {key: entry for key, entry in found.items() if isinstance(entry, str)}
