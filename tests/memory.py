"""Where throwaway databases lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 4 * 1024**3


def find_memory() -> Path | None:
    """Find room in memory, if there is enough: a database of PostgreSQL is 300 files, dear to make on a disk."""
    if not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ENOUGH_BYTES:
        return None
    return _MEMORY
