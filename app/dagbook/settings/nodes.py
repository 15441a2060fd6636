"""The setting ``remote_nodes``: other servers that requests are forwarded to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from dagbook.settings.readers import HIDDEN, Displayed, Hidden, Raw, of_text, read_seconds, read_truth
from dagbook.settings.records import Reader, one_of, read_keys, read_named, read_secret

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_URL = re.compile(r"https?://[^\s?#@/\0]+/[^\s?#@\0]+")
_LOCAL = "local"
_CREDENTIALS = {"none": (), "basic": ("username", "password"), "token": ("token",)}
_HIDDEN = ("password", "token")
_EXAMPLE = '[{"name": "east", "url": "https://…/api/v2"}]'


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


def read(raw: Raw, folder: Path) -> tuple[RemoteNode, ...]:
    return read_named(raw, "node", _EXAMPLE, partial(_node, folder=folder), is_shown=_NAME.fullmatch)


def _node(entry: Mapping[str, Raw], folder: Path) -> RemoteNode:
    readers: dict[str, Reader] = {
        "name": of_text(_name),
        "url": of_text(_url),
        "auth": of_text(_auth),
        "username": of_text(_username),
        "password": of_text(read_secret),
        "token": of_text(_token),
        "skip_tls_verify": of_text(read_truth),
        "timeout_seconds": of_text(read_seconds),
    }
    node = RemoteNode(**read_keys(entry, readers, folder, "node", needed=("name", "url")))
    _check_credentials(node)
    return node


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
        raise ValueError(f"{text!r} does not fit; {one_of(_CREDENTIALS)}")
    return text


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


def display(nodes: tuple[RemoteNode, ...]) -> Displayed:
    return [
        {key: HIDDEN if key in _HIDDEN else value for key, value in msgspec.structs.asdict(node).items() if value}
        for node in nodes
    ]
