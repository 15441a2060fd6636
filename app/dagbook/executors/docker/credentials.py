"""The credentials with which an image is pulled (DAG format 2.15). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from dagbook.executors.contract import SetupError

_HUB = "docker.io"
_NAMES_OF_HUB = (_HUB, "index.docker.io", "registry-1.docker.io")  # the first is the conventional one
_JSON = "_json"
_FIELDS = ("username", "password", "identitytoken", "registrytoken")

Auths = Mapping[str, str | Mapping[str, str]]


def split_host(image: str) -> tuple[str, str]:
    """Split an image into its registry and its name there; the default registry is Docker Hub."""
    host, slash, rest = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return host, rest
    return _HUB, image


def find(image: str, auths: Auths, from_environment: str) -> dict[str, str] | None:
    """Find the credentials for an image: by its host, in the DAG's JSON, in that of the environment.

    Raises SetupError.
    """
    host = split_host(image)[0]
    for name in _names(host):
        if auths.get(name):
            return _read_entry(auths[name], f"registryAuths: {name}")
    json_text = auths.get(_JSON)
    for text, source in ((json_text, "registryAuths"), (from_environment, "DOCKER_AUTH_CONFIG")):
        if isinstance(text, str) and text.strip() and (found := _find_in_json(text, host, source)):
            return found
    return None


def _names(host: str) -> tuple[str, ...]:
    return _NAMES_OF_HUB if host == _HUB else (host,)


def _find_in_json(text: str, host: str, source: str) -> dict[str, str] | None:
    document = _read_json(text, source)
    entries = document.get("auths", document)
    if not isinstance(entries, dict):
        raise SetupError(f"{source}: auths: expected a map of hosts")
    # Docker writes the host of Docker Hub as a URL.
    by_host = {str(key).split("://", 1)[-1].partition("/")[0]: entry for key, entry in entries.items()}
    for name in _names(host):
        if entry := by_host.get(name):
            return _read_entry(entry, f"{source}: {name}")
    return None


def _read_entry(entry: object, source: str) -> dict[str, str] | None:
    match entry:
        case str() if entry.lstrip().startswith("{"):
            return _read_entry(_read_json(entry, source), source)
        case str():
            return _decode(entry, source)
        case Mapping():
            return _from_map(entry, source)
    raise SetupError(f"{source}: expected a map with username and password, or with auth")


def _from_map(entry: Mapping[str, object], source: str) -> dict[str, str] | None:
    found = {name: str(entry[name]) for name in _FIELDS if entry.get(name)}
    if found:
        return found
    auth = entry.get("auth")
    return _decode(str(auth), source) if auth else None


def _read_json(text: str, source: str) -> dict[str, object]:
    try:
        return msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise SetupError(f"{source}: is not a JSON object with credentials: {error}") from error


def _decode(text: str, source: str) -> dict[str, str]:
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        colon = ""
    if not colon:
        raise SetupError(f"{source}: is neither JSON nor the base64 form of user:password")
    return {"username": user, "password": password}
