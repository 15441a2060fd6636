"""Rules about paths that need no look at the disk (DAG format 1.1, 2.4, 3.5)."""

from __future__ import annotations

import posixpath
import re

_LONGEST_LOG_NAME = 100
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")


def resolve(path: str, *, base: str, home: str) -> str:
    """Make a path absolute: ``~`` is the home directory, anything relative lies under ``base``."""
    if path == "~" or path.startswith("~/"):
        path = posixpath.join(home, path[2:])
    return posixpath.normpath(posixpath.join(base, path))


def safe_log_name(name: str) -> str:
    """Turn a DAG's name into one that is safe as the name of a directory of logs."""
    return _UNSAFE.sub("_", name)[:_LONGEST_LOG_NAME]
