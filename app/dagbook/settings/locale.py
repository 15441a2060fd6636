"""The locale of the server: the encoding of step output and the time zone."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dagbook.settings.types import Raw, SettingType

UTF_8 = "utf-8"
# Python's codecs that no program writes, or that accept invalid characters.
_NOT_WRITTEN = frozenset({"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
_NAMES = "utf-8, shift_jis, euc-jp, gbk, gb18030, big5, euc-kr, iso-8859-1, windows-1252, koi8-r, ibm866 or utf-16"


def find_encoding(name: str) -> str | None:
    """Return Python's name of an encoding; None if it is not a text encoding."""
    try:
        known = codecs.lookup(name.strip()).name
        b"a".decode(known)
    except UnicodeError:  # one letter is no text in UTF-16
        pass
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


def _read(raw: Raw, _folder: Path) -> str:
    found = find_encoding(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(f"{raw!r} is no encoding that is known; write a name such as {_NAMES}")
    return found


ENCODING = SettingType(name="encoding", read=_read)


def system_zone(environ: Mapping[str, str]) -> str:
    """Return the machine's zone: from the TZ variable, else from /etc, else UTC."""
    for name in _candidates(environ):
        with contextlib.suppress(ValueError, OSError, ZoneInfoNotFoundError):  # unknown on this machine
            return ZoneInfo(name).key
    return "UTC"


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    yield environ.get("TZ", "").removeprefix(":")
    yield str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    timezone = Path("/etc/timezone")
    if timezone.is_file():
        yield timezone.read_text(encoding="utf-8", errors="replace").strip()
