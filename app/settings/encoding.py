"""The encoding of what steps write: which names are known, and which one the machine's locale says."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path

from app.settings.kinds import Kind, Raw

UTF_8 = "utf-8"
# Codecs of Python that no program's output is in, or that let through what is no character.
_NOT_WRITTEN = frozenset({"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})
_NAMES = "utf-8, shift_jis, euc-jp, gbk, gb18030, big5, euc-kr, iso-8859-1, windows-1252, koi8-r, ibm866 or utf-16"


def find_encoding(name: str) -> str | None:
    """Give the one name by which Python calls an encoding; None for what is no encoding of texts."""
    try:
        known = codecs.lookup(name.strip()).name
        b"a".decode(known)
    except UnicodeError:  # one letter is no text in UTF-16
        pass
    except (LookupError, ValueError):
        return None
    return None if known.replace("_", "-") in _NOT_WRITTEN else known


def locale_encoding(environ: Mapping[str, str]) -> str:
    """Name the encoding of the locale that the environment wants; UTF-8 when it names none that is known.

    Not of ``LC_CTYPE``: Python sets that by itself where the locale is not installed.
    """
    locale = environ.get("LC_ALL") or environ.get("LANG") or ""
    found = find_encoding(locale.partition("@")[0].partition(".")[2])
    return UTF_8 if found in (None, "ascii") else str(found)


def _read(raw: Raw, _folder: Path) -> str:
    found = find_encoding(raw) if isinstance(raw, str) else None
    if found is None:
        raise ValueError(f"{raw!r} is no encoding that is known; write a name such as {_NAMES}")
    return found


ENCODING = Kind(name="encoding", read=_read)
