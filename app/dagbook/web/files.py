"""Static files of the web UI, read and compressed on first use."""

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
    "parts/boundary.js",
    "parts/shell.js",
    "parts/basic.js",
    "parts/notice.js",
    "parts/icon.js",
)
# The web UI offers these DAGs, and `dagbook serve --demo` has them.
_EXAMPLES, _FIRST_EXAMPLE = "examples/", "hello"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".md": "text/markdown",
    ".yaml": "text/yaml",
}


class File(msgspec.Struct, frozen=True):
    """A static file; ``compressed`` is None when gzip does not make it smaller."""

    media_type: str
    content: bytes
    compressed: bytes | None


@cache
def known() -> frozenset[str]:
    """Return the paths of all files except type declarations, relative to ``STATIC``; no other file is ever opened."""
    found = (path for path in STATIC.rglob("*") if path.is_file() and path.suffix != ".ts")
    return frozenset(path.relative_to(STATIC).as_posix() for path in found)


@cache
def version() -> str:
    """Return a hash of all files."""
    digest = hashlib.sha256()
    for name in sorted(known()):
        digest.update(name.encode() + b"\0" + (STATIC / name).read_bytes())
    return digest.hexdigest()[:12]


@cache
def read(name: str) -> File:
    """Return a known file; raises KeyError for other names."""
    if name not in known():
        raise KeyError(name)
    media_type = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = (STATIC / name).read_bytes()
    compressed = gzip.compress(content, mtime=0)
    return File(media_type, content, compressed if len(compressed) < len(content) else None)


@cache
def preloaded() -> tuple[str, ...]:
    """Return the scripts that every page needs, so that a browser requests them in parallel."""
    return tuple(sorted(name for name in known() if name.endswith(".js") and name.startswith(_PRELOADED)))


@cache
def example_names() -> tuple[str, ...]:
    """Return the names of the example DAGs, that of the first one to run first."""
    names = (Path(name).stem for name in known() if name.startswith(_EXAMPLES))
    return tuple(sorted(names, key=lambda name: (name != _FIRST_EXAMPLE, name)))


def read_example(name: str) -> str:
    """Return the definition of an example DAG. Raises KeyError."""
    return read(f"{_EXAMPLES}{name}.yaml").content.decode()
