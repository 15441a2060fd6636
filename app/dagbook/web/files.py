"""The files of the web UI, read and compressed when they are first asked for."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from functools import cache
from pathlib import Path

import msgspec

STATIC = Path(__file__).parent / "static"
_PRELOADED = (
    "main.js",
    "vendor/core.js",
    "lib",
    "parts/shell.js",
    "parts/basic.js",
    "parts/notice.js",
    "parts/icon.js",
)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".md": "text/markdown"}


class File(msgspec.Struct, frozen=True):
    """A file as it is sent; ``packed`` is None when compressing gains nothing."""

    media_type: str
    plain: bytes
    packed: bytes | None


@cache
def known() -> frozenset[str]:
    """Name all files but the types, relative to their folder: nothing else is ever opened."""
    found = (path for path in STATIC.rglob("*") if path.is_file() and path.suffix != ".ts")
    return frozenset(path.relative_to(STATIC).as_posix() for path in found)


@cache
def version() -> str:
    """Return a text that changes with any of the files."""
    digest = hashlib.sha256()
    for name in sorted(known()):
        digest.update(name.encode() + b"\0" + (STATIC / name).read_bytes())
    return digest.hexdigest()[:12]


@cache
def read(name: str) -> File:
    """Return a known file; raises KeyError for others."""
    if name not in known():
        raise KeyError(name)
    return pack(_TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream", name)


def pack(media_type: str, name: str) -> File:
    """Read a file and compress it."""
    plain = (STATIC / name).read_bytes()
    packed = gzip.compress(plain, mtime=0)
    return File(media_type, plain, packed if len(packed) < len(plain) else None)


@cache
def preloaded() -> tuple[str, ...]:
    """Name the scripts that every page needs, so that a browser asks for them at once instead of one after another."""
    return tuple(sorted(name for name in known() if name.endswith(".js") and name.startswith(_PRELOADED)))
