"""The setting ``remote_nodes``: other servers that requests are forwarded to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dagbook.settings.types import HIDDEN, SECONDS, TRUTH, Displayed, Hidden, Raw, SettingType, Text

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_URL = re.compile(r"https?://[^\s?#@/\0]+/[^\s?#@\0]+")
_LOCAL = "local"
_CREDENTIALS = {"none": (), "basic": ("username", "password"), "token": ("token",)}
_HIDDEN = ("password", "token")


class RemoteNode(msgspec.Struct, frozen=True, kw_only=True):
    """Another server: the URL of its API, its credentials and the timeout."""

    name: str
    url: str
    auth: str = "none"
    username: str = ""
    password: Hidden = Hidden("")
    token: Hidden = Hidden("")
    skip_tls_verify: bool = False
    timeout_seconds: float = 30.0


_EXAMPLE = '[{"name": "east", "url": "https://…/api/v2"}]'


def _read(raw: Raw, folder: Path) -> tuple[RemoteNode, ...]:
    found: list[RemoteNode] = []
    for number, entry in enumerate(read_records(raw, _EXAMPLE), 1):
        subject = f"node {number}" + (f" ({entry['name']})" if _NAME.fullmatch(entry.get("name", "")) else "")
        try:
            node = _node(entry, folder)
        except ValueError as error:
            raise ValueError(f"{subject}: {error}") from None
        if node.name in {other.name for other in found}:
            raise ValueError(f"{subject}: name: is there twice; give each node a name of its own")
        found.append(node)
    return tuple(found)


def read_records(raw: Raw, example: str) -> list[dict[str, str]]:
    """Return the raw maps; a file gives each one as a JSON text, a variable all of them as one. Raises ValueError."""
    try:
        if not isinstance(raw, str):
            return [msgspec.json.decode(item, type=dict[str, str]) for item in raw]
        items = msgspec.json.decode(raw or "[]", type=list[dict[str, Any]])
    except msgspec.DecodeError:
        # The raw text may be a secret, so it is not repeated.
        hidden = f"{HIDDEN} stands for what is not shown; write the secret itself, in " if raw == HIDDEN else "write "
        raise ValueError(f"{hidden}a list of maps such as {example}") from None
    entries: list[dict[str, str]] = []
    for item in items:
        texts = {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in item.items()}
        entries.append(texts)
    return entries


def _node(entry: Mapping[str, str], folder: Path) -> RemoteNode:
    values = read_fields(entry, _READERS, folder, "a node")
    for key in ("name", "url"):
        if key not in values:
            raise ValueError(f"{key}: is missing")
    node = RemoteNode(**values)
    _check_credentials(node)
    return node


def read_fields(
    entry: Mapping[str, str], readers: Mapping[str, SettingType | Text], folder: Path, what: str
) -> dict[str, Any]:
    """Return the values of a raw map; raises ValueError for an unknown key or an invalid value, by its key."""
    values: dict[str, Any] = {}
    for key, text in entry.items():
        if key not in readers:
            close = next(iter(difflib.get_close_matches(key, readers, n=1)), "")
            hint = f"did you mean {close}?" if close else _one_of(tuple(readers))
            raise ValueError(f"{key}: is no key of {what}; {hint}")
        reader = readers[key]
        try:
            values[key] = reader.read(text, folder) if isinstance(reader, SettingType) else reader(text)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return values


def _name(text: str) -> str:
    if not _NAME.fullmatch(text) or text == _LOCAL:
        raise ValueError(f"{text!r} does not fit; write up to 64 letters, digits and . _ -, but not {_LOCAL!r}")
    return text


def _url(text: str) -> str:
    if not _URL.fullmatch(text.rstrip("/")):
        raise ValueError("is no address of an API; write one with its path, such as https://host:8080/api/v2")
    return text.rstrip("/")


def _auth(text: str) -> str:
    if text not in _CREDENTIALS:
        raise ValueError(f"{text!r} does not fit; {_one_of(tuple(_CREDENTIALS))}")
    return text


def read_secret(text: str) -> Hidden:
    """Read a secret; raises ValueError for what stands for one that is not shown."""
    if text == HIDDEN:
        raise ValueError(f"{HIDDEN} stands for what is not shown; write the secret itself")
    return Hidden(text)


def _token(text: str) -> Hidden:
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("holds a character that no header can carry, perhaps a blank or a line end")
    return read_secret(text)


def _username(text: str) -> str:
    if ":" in text:
        raise ValueError("must hold no colon, which begins the password in HTTP Basic")
    return text


def _check_credentials(node: RemoteNode) -> None:
    needed = _CREDENTIALS[node.auth]
    for key in ("username", *_HIDDEN):
        given = bool(getattr(node, key))
        if key in needed and not given:
            raise ValueError(f"{key}: is missing, which auth: {node.auth} needs")
        if given and key not in needed:
            raise ValueError(f"{key}: does not go with auth: {node.auth}; change auth, or take the key out")


def _one_of(words: tuple[str, ...]) -> str:
    return "write one of " + ", ".join(words)


_READERS: Mapping[str, SettingType | Text] = {
    "name": _name,
    "url": _url,
    "auth": _auth,
    "username": _username,
    "password": read_secret,
    "token": _token,
    "skip_tls_verify": TRUTH,
    "timeout_seconds": SECONDS,
}


def _display(nodes: tuple[RemoteNode, ...]) -> Displayed:
    return [
        {key: HIDDEN if key in _HIDDEN else value for key, value in msgspec.structs.asdict(node).items() if value}
        for node in nodes
    ]


# Secret, hence without a flag: it contains credentials.
REMOTE_NODES = SettingType(name="list of nodes", read=_read, records=True, display=_display, is_secret=True)
