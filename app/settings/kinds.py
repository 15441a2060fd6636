"""The kinds of values a setting can have: how each is read from text and how it is shown."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Raw = str | list[str]
Plain = str | int | float | list[str] | list[dict[str, str | float]]
Text = Callable[[str], object]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
HIDDEN = "***"

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_URL = re.compile(r"https?://[^\s?#@\0]+")
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of value.

    ``read`` takes what was written and the folder that relative paths start from, and raises ``ValueError`` with the
    fix in words; ``plain`` turns a value into what may be shown. A secret has no flag, for command lines are seen by
    everybody on the machine; the flag of a switch needs no value.
    """

    name: str
    read: Callable[[Raw, Path], object]
    map: bool = False  # whether a file may write it as a map, which comes as a list of key=value
    records: bool = False  # whether a file writes it as a list of maps, each of which comes as a JSON text
    plain: Callable[[Any], Plain] = str
    is_secret: bool = False
    is_switch: bool = False


def text_of(raw: Raw) -> str:
    """Return a value that is no list."""
    if isinstance(raw, str):
        return raw
    raise ValueError("a list is given where one value belongs")


def _as_written(raw: Raw, _folder: Path) -> str:
    return text_of(raw)


def under(folder: Path, text: str) -> Path:
    """Make a path absolute: ``~`` is the user's home, a relative path starts from the folder."""
    try:
        return (folder / Path(text).expanduser()).absolute()
    except RuntimeError:
        raise ValueError(f"the home directory in {text!r} is not known here; write an absolute path") from None


def _file(raw: Raw, folder: Path) -> Path | None:
    return _path(raw, folder) if text_of(raw) else None


def _shown_file(path: Path | None) -> Plain:
    return str(path or "")


def _path(raw: Raw, folder: Path) -> Path:
    text = text_of(raw)
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    return under(folder, text)


def _host(raw: Raw, _folder: Path) -> str:
    text = text_of(raw)
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", text):
        raise ValueError(f"{text!r} is not a host; write a name or an address such as 127.0.0.1 or ::1")
    return text


def _base_path(raw: Raw, _folder: Path) -> str:
    text = text_of(raw).strip("/")
    if text and not _PREFIX.fullmatch(f"/{text}"):
        raise ValueError(f"{text!r} is not a path prefix; write one such as /dagbook, of letters, digits and . _ ~ -")
    return f"/{text}" if text else ""


def _zone(raw: Raw, _folder: Path) -> ZoneInfo:
    text = text_of(raw)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"no time zone {text!r} on this machine; write a name such as Europe/Berlin or UTC") from None


def _items(raw: Raw) -> list[str]:
    items = raw.split(",") if isinstance(raw, str) else raw
    return [stripped for item in items if (stripped := item.strip())]


def _host_names(raw: Raw, _folder: Path) -> tuple[str, ...]:
    for item in _items(raw):
        if not _HOST_NAME.fullmatch(item):
            raise ValueError(f"{item!r} is not a host name; write names without scheme, port or wildcard")
    return tuple(item.lower() for item in _items(raw))


def _networks(raw: Raw, _folder: Path) -> tuple[Network, ...]:
    found: list[Network] = []
    for item in _items(raw):
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError:
            raise ValueError(f"{item!r} is no address; write one such as 10.0.0.7 or a network as 10.0.0.0/8") from None
    return tuple(found)


def _written_networks(networks: tuple[Network, ...]) -> list[str]:
    return [str(one.network_address) if one.num_addresses == 1 else str(one) for one in networks]


def _origins(raw: Raw, _folder: Path) -> tuple[str, ...]:
    for item in _items(raw):
        if not _ORIGIN.fullmatch(item):
            raise ValueError(f"{item!r} is not an origin; write https://host or https://host:port, each by name")
    return tuple(item.lower() for item in _items(raw))


def _limits(raw: Raw, _folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in _items(raw):
        name, _, number = (part.strip() for part in item.rpartition("="))
        if not name or not re.fullmatch(r"[1-9][0-9]{0,5}", number):
            raise ValueError(f"{item!r} does not fit; write NAME=RUNS such as reports=2, at least 1")
        if name in found:
            raise ValueError(f"{name!r} is there twice; keep one")
        found[name] = int(number)
    return found


def _written(limits: dict[str, int]) -> list[str]:
    return [f"{name}={number}" for name, number in limits.items()]


def _words(raw: Raw, _folder: Path) -> tuple[str, ...]:
    return tuple(_items(raw))


def _url(raw: Raw, _folder: Path) -> str:
    text = text_of(raw).rstrip("/")
    if text and not _URL.fullmatch(text):
        raise ValueError(f"{text!r} is not a URL; write one such as https://dags.example.org")
    return text


def _secret(raw: Raw, _folder: Path) -> str:
    text = text_of(raw)
    if text == HIDDEN:
        raise ValueError(f"{HIDDEN} stands for a secret that is not shown; write the secret itself")
    return text


def _hide(secret: str) -> Plain:
    return HIDDEN if secret else ""


def _truth(raw: Raw, _folder: Path) -> bool:
    text = text_of(raw).lower()
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} does not fit; write true or false")
    return text == "true"


def _shortest(value: float) -> float:
    return int(value) if value == int(value) else value


def whole(least: int, most: int) -> Kind:
    """Make the kind of whole numbers between two bounds, both allowed."""

    def read(raw: Raw, _folder: Path) -> int:
        text = text_of(raw)
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} does not fit; write a whole number from {least} to {most}")
        return int(text)

    return Kind(name=f"whole number, {least} to {most}", read=read, plain=_shortest)


def _seconds(raw: Raw, _folder: Path) -> float:
    text = text_of(raw)
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not float(text):
        raise ValueError(f"{text!r} does not fit; write a number of seconds above 0 such as 10 or 0.5")
    return float(text)


def choice(*words: str) -> Kind:
    """Make the kind of one of a few words."""

    def read(raw: Raw, _folder: Path) -> str:
        text = text_of(raw)
        if text not in words:
            raise ValueError(f"{text!r} does not fit; write {' or '.join(words)}")
        return text

    return Kind(name=" or ".join(words), read=read)


_LEAST_KEY_CHARACTERS = 32


class Hidden(str):
    """A text that is not shown by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


def _key(raw: Raw, folder: Path) -> Hidden:
    least, text = _LEAST_KEY_CHARACTERS, _secret(raw, folder).strip()
    if 0 < len(text) < least:
        raise ValueError(
            f"is no key; write at least {least} random characters, such as those of `openssl rand -hex 32`"
        )
    return Hidden(text)


TEXT = Kind(name="text", read=_as_written)
PATH = Kind(name="path", read=_path)
FILE = Kind(name="file", read=_file, plain=_shown_file)
HOST = Kind(name="host name or address", read=_host)
BASE_PATH = Kind(name="path prefix", read=_base_path)
ZONE = Kind(name="IANA time zone", read=_zone)
HOST_NAMES = Kind(name="list of host names", read=_host_names, plain=list)
NETWORKS = Kind(name="list of addresses and networks", read=_networks, plain=_written_networks)
ORIGINS = Kind(name="list of origins", read=_origins, plain=list)
WORDS = Kind(name="list", read=_words, plain=list)
URL = Kind(name="URL", read=_url)
SECRET = Kind(name="secret", read=_secret, plain=_hide, is_secret=True)
TRUTH = Kind(name="true or false", read=_truth, plain=bool, is_switch=True)
KEY = Kind(name=f"key, {_LEAST_KEY_CHARACTERS} characters or more", read=_key, plain=_hide, is_secret=True)
QUEUES = Kind(name="list of queues and their limits", read=_limits, map=True, plain=_written)
SECONDS = Kind(name="seconds", read=_seconds, plain=_shortest)
