"""Path rules that need no file system (DAG format 2.4, 3.5)."""

from __future__ import annotations

import posixpath


def resolve(path: str, *, base: str, home: str) -> str:
    """Make a path absolute: ``~`` is the home directory, relative paths are below ``base``."""
    if path == "~" or path.startswith("~/"):
        path = posixpath.join(home, path[2:])
    return posixpath.normpath(posixpath.join(base, path))
