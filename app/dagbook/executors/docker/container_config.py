"""The request that creates a container, from a step's config or from the ``container`` of a step or DAG. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dagbook.executors.config import Config
from dagbook.executors.contract import Job, SetupError, SharedConfig
from dagbook.spec import paths
from dagbook.spec.model import Container

_WORDS = ("Env", "Cmd", "Entrypoint", "OnBuild", "Shell")
_HOST_WORDS = ("Binds", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd", "Links")
_MORE_HOST_WORDS = ("SecurityOpt", "VolumesFrom", "MaskedPaths", "ReadonlyPaths", "DeviceCgroupRules")
_FLAGS = ("AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce", "NetworkDisabled")
_HOST_FLAGS = ("AutoRemove", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "Init", "OomKillDisable")
_NUMBERS = ("StopTimeout",)
_HOST_NUMBERS = ("Memory", "MemorySwap", "MemoryReservation", "MemorySwappiness", "NanoCpus", "CpuShares", "CpuPeriod")
_MORE_HOST_NUMBERS = ("CpuQuota", "CpuCount", "CpuPercent", "BlkioWeight", "PidsLimit", "ShmSize", "OomScoreAdj")
_KEYS = {
    **dict.fromkeys((*_WORDS, *_HOST_WORDS, *_MORE_HOST_WORDS), "words"),
    **dict.fromkeys((*_FLAGS, *_HOST_FLAGS), "flag"),
    **dict.fromkeys((*_NUMBERS, *_HOST_NUMBERS, *_MORE_HOST_NUMBERS), "number"),
    **dict.fromkeys(("Labels", "HostConfig", "NetworkingConfig", "NetworkMode", "PortBindings", "ExposedPorts"), ""),
}
_SPELLINGS = {key.lower(): key for key in _KEYS}
_PORT = re.compile(r"(?:(?:(?P<ip>\[[^\]]+\]|[^:]*):)?(?P<host>\d*):)?(?P<port>\d+)(?:/(?P<protocol>tcp|udp|sctp))?\Z")
_MOST_PORT = 65535
_STARTUPS, _RESTARTS = ("keepalive", "entrypoint", "command"), ("", "no", "always", "unless-stopped")
# What a container runs that only waits for commands.
KEEPALIVE = {
    "Entrypoint": ["/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"],
    "Cmd": [],
}


def for_config(config: Config, command: Sequence[str], labels: Mapping[str, str]) -> dict[str, object]:
    """Make the request for the container of a step with a config. Raises SetupError."""
    body = normalize_keys(config, "container")
    host = normalize_keys(config, "host")
    host.pop("AutoRemove", None)  # a container that removes itself loses its exit code: it is removed later
    body["Image"] = config.required("image", "name the image to make the container from")
    given = body.get("Labels")
    own = Config({"labels": given}, "docker: container").mapping("labels") if given else {}
    body["Labels"] = {**own, **labels}
    body["HostConfig"] = host
    if network := normalize_keys(config, "network"):
        body["NetworkingConfig"] = network
    if command:
        body["Cmd"] = list(command)
    return body


def normalize_keys(config: Config, key: str) -> dict[str, object]:
    """Read a map of fields of the Docker API: known keys get their spelling and type. Raises SetupError.

    Other keys and nested maps are passed unchanged: the daemon matches them case-insensitively.
    """
    value = config.value(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise config.error(key, "expected a map of the Docker API's fields")
    below = Config(value, f"docker: {key}")
    body: dict[str, object] = {}
    for name, entry in value.items():
        spelling = _SPELLINGS.get(str(name).lower(), str(name)[:1].upper() + str(name)[1:])
        if entry is not None:
            body[spelling] = _typed(below, str(name), spelling)
    return body


def _typed(config: Config, name: str, spelling: str) -> object:
    match _KEYS.get(spelling):
        case "words" if spelling == "Env":
            return environment(config, name)
        case "words":
            return list(config.texts(name))
        case "flag":
            return config.flag(name)
        case "number":
            return config.integer(name)
    return config.value(name)


def environment(config: Config, key: str) -> list[str]:
    """Read variables, as a list of NAME=value or as a map. Raises SetupError."""
    if isinstance(config.value(key), Mapping):
        return [f"{name}={value}" for name, value in config.mapping(key).items()]
    return list(config.texts(key))


def container_env(container: Container) -> list[str]:
    return [f"{pair.name}={pair.value}" for pair in container.env]


def for_run(container: Container, shared: SharedConfig, labels: Mapping[str, str]) -> dict[str, object]:
    """Make the request for the container of a run (DAG format 2.13). Raises SetupError."""
    if container.restart_policy not in _RESTARTS:
        raise SetupError(
            f"container: restartPolicy: expected no, always or unless-stopped, found {container.restart_policy!r}"
        )
    restart = {"RestartPolicy": {"Name": container.restart_policy}} if container.restart_policy else {}
    body = _of_container(container, labels, restart, base=shared.work_dir, home=shared.home)
    return {**body, **_startup(container)}


def for_step(container: Container, job: Job, labels: Mapping[str, str]) -> dict[str, object]:
    """Make the request for the container of a step, which runs the step's command, or stays for its command lines.

    It is never restarted: the end of the command is the end of the step. Raises SetupError.
    """
    body = _of_container(container, labels, {}, base=str(job.cwd), home=job.shared.home)
    if job.following:  # each line is run in it, and none of them is its own command
        return {**body, **_startup(container)}
    return {**body, "Cmd": [job.program, *job.args]} if job.program else body


def _of_container(
    container: Container, labels: Mapping[str, str], host: Mapping[str, object], *, base: str, home: str
) -> dict[str, object]:
    ports = [_port(text) for text in container.ports]
    host = {
        **host,
        "Binds": [_bind(text, base, home) for text in container.volumes],
        "PortBindings": {port: [binding] for port, binding in ports if binding},
        **({"NetworkMode": container.network} if container.network else {}),
    }
    return {
        "Image": container.image,
        "Env": container_env(container),
        "User": container.user,
        "WorkingDir": container.working_dir,
        "ExposedPorts": {port: {} for port, _ in ports},
        "Labels": dict(labels),
        "HostConfig": host,
    }


def _startup(container: Container) -> dict[str, object]:
    match container.startup or "keepalive":
        case "keepalive":
            return dict(KEEPALIVE)
        case "entrypoint":
            return {}
        case "command" if container.command:
            return {"Entrypoint": [], "Cmd": list(container.command)}
        case "command":
            raise SetupError("container: command: is missing; startup: command runs it")
        case other:
            raise SetupError(f"container: startup: expected {', '.join(_STARTUPS)}, found {other!r}")


def _bind(text: str, base: str, home: str) -> str:
    """Make a volume's source absolute when it is a path; otherwise it is a named volume."""
    source, colon, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not (colon and source and target.startswith("/")) or mode not in ("", "ro", "rw"):
        raise SetupError(f"container: volumes: {text!r} is not of the form source:target, optionally with :ro or :rw")
    if source.startswith(("/", ".", "~")):
        source = paths.resolve(source, base=base, home=home)
    return f"{source}:{rest}"


def _port(text: str) -> tuple[str, dict[str, str]]:
    """Parse a port into ``container/protocol`` and its binding on the host, empty when it has none."""
    found = _PORT.match(text.strip())
    numbers = [int(number) for number in (found["host"], found["port"]) if number] if found else []
    if found is None or not all(0 < number <= _MOST_PORT for number in numbers):
        raise SetupError(
            f"container: ports: {text!r} is not of the form 80, 8080:80 or 127.0.0.1:8080:80, with /udp at most"
        )
    binding = {"HostIp": (found["ip"] or "").strip("[]"), "HostPort": found["host"]} if ":" in text else {}
    return f"{found['port']}/{found['protocol'] or 'tcp'}", binding
