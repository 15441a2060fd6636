"""How the text of a setting is read and displayed, and what an invalid one raises."""

from __future__ import annotations

import codecs
import contextlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Value = TypeVar("Value")
Raw = str | list[str]
Displayed = str | int | float | list[str] | list[dict[str, str | float | list[str]]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
HIDDEN = "***"
METADATA = "metadata"
MIN_KEY_LENGTH = 32
UTF_8 = "utf-8"

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_URL = re.compile(r"https?://[^\s?#@\0]+")
_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
# Where machines of clouds are given credentials: AWS, Azure, Google and others; AWS for containers; Alibaba; Oracle.
_METADATA_HOSTS = (
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192"),
    *("fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "metadata.google.internal"),
)
# Python's codecs that no program writes, or that accept invalid characters.
_NOT_WRITTEN = frozenset({"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
_ENCODINGS = "utf-8, shift_jis, euc-jp, gbk, gb18030, big5, euc-kr, iso-8859-1, windows-1252, koi8-r, ibm866 or utf-16"


class SettingsError(Exception):
    """An invalid setting: its name, where it was given and the fix."""

    def __init__(self, subject: str, origin: str, problem: str) -> None:
        super().__init__(f"{subject} ({origin}): {problem}" if origin else f"{subject}: {problem}")
        self.subject = subject
        self.origin = origin


class Hidden(str):
    """A text that its repr hides."""

    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class SettingType(msgspec.Struct, Generic[Value], frozen=True, kw_only=True):
    """A type of settings.

    ``read`` takes the raw value and the folder of relative paths, and raises ``ValueError`` with the fix in words;
    ``display`` turns a value into what may be printed. A secret has no flag, because every user of the machine can read
    command lines; the flag of a switch needs no value.
    """

    name: str
    read: Callable[[Raw, Path], Value]
    map: bool = False  # a file may give a map, which is read as a list of key=value
    records: bool = False  # a file gives a list of maps, each of which is read as a JSON text
    tree: bool = False  # a file gives maps and lists of any depth, which are read as one JSON text
    display: Callable[[Value], Displayed] = str
    is_secret: bool = False
    may_contain_secret: bool = False  # an address that can have a password in it
    is_switch: bool = False

    @property
    def is_credential(self) -> bool:
        """Whether a value can be in a file of its own, and is removed from the environment."""
        return self.is_secret or self.may_contain_secret


def of_text(read: Callable[[str], Value]) -> Callable[[Raw, Path], Value]:
    """Make the reader of a type whose raw values are no lists, and contain no path."""
    return lambda raw, _folder: read(text_of(raw))


def text_of(raw: Raw) -> str:
    """Return a raw value that is not a list."""
    if isinstance(raw, str):
        return raw
    raise ValueError("a list or a map is given where one value belongs")


def items_of(raw: Raw) -> list[str]:
    """Return the items of a list, which a variable gives with commas between them."""
    items = raw.split(",") if isinstance(raw, str) else raw
    return [stripped for item in items if (stripped := item.strip())]


def absolute(folder: Path, text: str) -> Path:
    """Make a path absolute: ``~`` is the user's home, a relative path starts from the folder."""
    try:
        return (folder / Path(text).expanduser()).absolute()
    except RuntimeError:
        raise ValueError(f"the home directory in {text!r} is not known here; write an absolute path") from None


def read_text(raw: Raw, _folder: Path) -> str:
    return text_of(raw)


def read_words(raw: Raw, _folder: Path) -> tuple[str, ...]:
    return tuple(items_of(raw))


def read_path(raw: Raw, folder: Path) -> Path:
    text = text_of(raw)
    if not text or "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    return absolute(folder, text)


def read_paths(raw: Raw, folder: Path) -> tuple[Path, ...]:
    return tuple(read_path(item, folder) for item in items_of(raw))


def read_file(raw: Raw, folder: Path) -> Path | None:
    """Read the path of a file; empty for none."""
    return read_path(raw, folder) if text_of(raw) else None


def read_host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]+", text):
        raise ValueError(f"{text!r} is not a host; write a name or an address such as 127.0.0.1 or ::1")
    return text


def read_base_path(text: str) -> str:
    path = text.strip("/")
    if path and not _PREFIX.fullmatch(f"/{path}"):
        raise ValueError(f"{path!r} is not a path prefix; write one such as /dagbook, of letters, digits and . _ ~ -")
    return f"/{path}" if path else ""


def read_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"no time zone {text!r} on this machine; write a name such as Europe/Berlin or UTC") from None


def read_host_names(raw: Raw, _folder: Path) -> tuple[str, ...]:
    return _names(raw, _HOST_NAME, "is not a host name; write names without scheme, port or wildcard")


def read_origins(raw: Raw, _folder: Path) -> tuple[str, ...]:
    return _names(raw, _ORIGIN, "is not an origin; write https://host or https://host:port, each by name")


def _names(raw: Raw, pattern: re.Pattern[str], problem: str) -> tuple[str, ...]:
    """Read names for which upper and lower case are the same."""
    for item in items_of(raw):
        if not pattern.fullmatch(item):
            raise ValueError(f"{item!r} {problem}")
    return tuple(item.lower() for item in items_of(raw))


def read_networks(raw: Raw, _folder: Path) -> tuple[Network, ...]:
    found: list[Network] = []
    for item in items_of(raw):
        try:
            found.append(ipaddress.ip_network(item))
        except ValueError:
            raise ValueError(f"{item!r} is no address; write one such as 10.0.0.7 or a network as 10.0.0.0/8") from None
    return tuple(found)


def display_networks(networks: Iterable[Network]) -> list[str]:
    """Return networks as texts, those of one address without a prefix."""
    return [str(one.network_address) if one.num_addresses == 1 else str(one) for one in networks]


def read_destinations(raw: Raw, folder: Path) -> tuple[str, ...]:
    """Read hosts, addresses and networks; one word stands for the hosts where clouds give credentials."""
    found: list[str] = []
    for item in items_of(raw):
        if item == METADATA:
            found += _METADATA_HOSTS
        elif re.search(r"[:/]|(^|\.)[0-9]+$", item):
            found += display_networks(read_networks([item], folder))
        elif _HOST_NAME.fullmatch(item):
            found.append(item.lower())
        else:
            raise ValueError(f"{item!r} is no host; write a name, an address, a network or {METADATA}")
    return tuple(found)


def read_limits(raw: Raw, _folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in items_of(raw):
        name, _, number = (part.strip() for part in item.rpartition("="))
        if not name or not re.fullmatch(r"[1-9][0-9]{0,5}", number):
            raise ValueError(f"{item!r} does not fit; write NAME=RUNS such as reports=2, at least 1")
        if name in found:
            raise ValueError(f"{name!r} is there twice; keep one")
        found[name] = int(number)
    return found


def read_url(text: str) -> str:
    url = text.rstrip("/")
    if url and not _URL.fullmatch(url):
        raise ValueError(f"{url!r} is not a URL; write one such as https://dags.example.org")
    return url


def read_secret(text: str) -> str:
    if text == HIDDEN:
        raise ValueError(f"{HIDDEN} stands for a secret that is not shown; write the secret itself")
    return text


def read_key(text: str) -> Hidden:
    key = read_secret(text).strip()
    if 0 < len(key) < MIN_KEY_LENGTH:
        raise ValueError(
            f"is no key; write at least {MIN_KEY_LENGTH} random characters, such as those of `openssl rand -hex 32`"
        )
    return Hidden(key)


def read_keys(raw: Raw, _folder: Path) -> tuple[Hidden, ...]:
    """Read keys; a file with nothing else may have each in a line of its own."""
    return tuple(read_key(item) for item in items_of(raw.replace("\n", ",") if isinstance(raw, str) else raw))


def hide(secret: str) -> Displayed:
    return HIDDEN if secret else ""


def read_truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{text.lower()!r} does not fit; write true or false")
    return text.lower() == "true"


def read_seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text) or not float(text):
        raise ValueError(f"{text!r} does not fit; write a number of seconds above 0 such as 10 or 0.5")
    return float(text)


def without_fraction(value: float) -> float:
    """Return a number, as an integer where it is one."""
    return int(value) if value == int(value) else value


def integer(least: int, most: int) -> SettingType[int]:
    """Make the type of integers within two inclusive bounds."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} does not fit; write a whole number from {least} to {most}")
        return int(text)

    return SettingType(name=f"whole number, {least} to {most}", read=of_text(read), display=without_fraction)


def choice(*words: str) -> SettingType[str]:
    """Make the type of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} does not fit; write {' or '.join(words)}")
        return text

    return SettingType(name=" or ".join(words), read=of_text(read))


def read_encoding(raw: Raw, _folder: Path) -> str:
    found = find_encoding(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(f"{raw!r} is no encoding that is known; write a name such as {_ENCODINGS}")
    return found


def find_encoding(name: str) -> str | None:
    """Return Python's name of an encoding; None if it is not a text encoding."""
    try:
        known = codecs.lookup(name.strip()).name
        b"a".decode(known)  # a codec that is not of texts, such as hex, is a LookupError
    except UnicodeError:
        pass  # it is one of texts: in UTF-16 a single byte is half a character
    except (LookupError, ValueError):
        return None
    return None if known.replace("_", "-") in _NOT_WRITTEN else known


def locale_encoding(environ: Mapping[str, str]) -> str:
    """Return the encoding of the locale; UTF-8 if it names no known one.

    ``LC_CTYPE`` is ignored: Python sets it itself where the locale is not installed.
    """
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    found = find_encoding(locale.partition("@")[0].partition(".")[2])
    return UTF_8 if found in (None, "ascii") else str(found)


def system_zone(environ: Mapping[str, str]) -> str:
    """Return the machine's zone: from the TZ variable, else from /etc, else UTC."""
    for name in _zone_candidates(environ):
        with contextlib.suppress(ValueError, OSError, ZoneInfoNotFoundError):  # unknown on this machine
            return ZoneInfo(name).key
    return "UTC"


def _zone_candidates(environ: Mapping[str, str]) -> Iterator[str]:
    yield environ.get("TZ", "").removeprefix(":")
    yield str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    timezone = Path("/etc/timezone")
    if timezone.is_file():
        yield timezone.read_text(encoding="utf-8", errors="replace").strip()
