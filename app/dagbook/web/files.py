"""Static files of the web UI, read and compressed on first use.

A release has a bundle beside them (``scripts/bundle``): few files, whose names come before those that they are made of.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

STATIC = Path(__file__).parent / "static"
BUNDLE = STATIC.with_name("bundle")
MADE_OF = "made-of"  # in a bundle: the hash of the files that it is made of
# In a bundle: what its scripts share, and those of the pages below these paths, which few users open often.
SHARED_SCRIPT, SELDOM_SCRIPT = "lib/chunk.js", "lib/seldom.js"
SELDOM = (
    *("/account", "/compare", "/alerts", "/batches", "/triggers", "/workers", "/sources", "/search", "/system"),
    *("/users", "/access", "/tokens", "/audit", "/cli-login"),
)
_PRELOADED = (
    "main.js",
    "vendor/core.js",
    "lib",
    "parts/boundary.js",
    "parts/shell.js",
    "parts/basic.js",
    "parts/notice.js",
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


def find(static: Path, bundle: Path) -> Mapping[str, Path]:
    """Return the files to serve by their names: those of a bundle first, if it is made of just these static files."""
    plain = _list(static)
    stamp = bundle / MADE_OF
    return plain | _list(bundle) if stamp.is_file() and stamp.read_text() == digest(plain) else plain


def digest(paths: Mapping[str, Path]) -> str:
    """Return a hash of the names and contents of files."""
    hashed = hashlib.sha256()
    for name in sorted(paths):
        hashed.update(name.encode() + b"\0" + paths[name].read_bytes())
    return hashed.hexdigest()[:12]


def _list(folder: Path) -> dict[str, Path]:
    """Return the files in a folder by their names there, without declarations of types."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".ts")
    return {path.relative_to(folder).as_posix(): path for path in found}


@cache
def _paths() -> Mapping[str, Path]:
    return find(STATIC, BUNDLE)


@cache
def known() -> frozenset[str]:
    """Return the names of all files; no other file is ever opened."""
    return frozenset(_paths())


@cache
def version() -> str:
    """Return a hash of all files."""
    return digest(_paths())


@cache
def read(name: str) -> File:
    """Return a known file; raises KeyError for other names."""
    if name not in known():
        raise KeyError(name)
    media_type = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = _paths()[name].read_bytes()
    compressed = gzip.compress(content, mtime=0)
    return File(media_type, content, compressed if len(compressed) < len(content) else None)


@cache
def preloaded(*, seldom: bool) -> tuple[str, ...]:
    """Return the scripts that a page needs, so that a browser requests them in parallel."""
    if SHARED_SCRIPT in known():
        return (SHARED_SCRIPT, SELDOM_SCRIPT) if seldom else (SHARED_SCRIPT,)
    return tuple(sorted(name for name in known() if name.endswith(".js") and name.startswith(_PRELOADED)))


@cache
def example_names() -> tuple[str, ...]:
    """Return the names of the example DAGs, that of the first one to run first."""
    names = (Path(name).stem for name in known() if name.startswith(_EXAMPLES))
    return tuple(sorted(names, key=lambda name: (name != _FIRST_EXAMPLE, name)))


def read_example(name: str) -> str:
    """Return the definition of an example DAG. Raises KeyError."""
    return read(f"{_EXAMPLES}{name}.yaml").content.decode()
