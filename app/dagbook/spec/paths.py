"""Path rules that need no file system (DAG format 1.1, 2.4, 3.5)."""

from __future__ import annotations

import posixpath
import re

_LONGEST_LOG_NAME = 100
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


def resolve(path: str, *, base: str, home: str) -> str:
    """Make a path absolute: ``~`` is the home directory, relative paths are below ``base``."""
    if path == "~" or path.startswith("~/"):
        path = posixpath.join(home, path[2:])
    return posixpath.normpath(posixpath.join(base, path))


def safe_log_name(name: str) -> str:
    """Turn a DAG's name into a safe name of a log directory."""
    return _UNSAFE.sub("_", name)[:_LONGEST_LOG_NAME]
