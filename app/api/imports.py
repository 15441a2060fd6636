"""What a server need not load."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(module: str) -> Iterator[None]:
    """Keep a module from being imported for a while, for those who import what they find; a loaded one is let be."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # Python's own mark for "not to be found"
    try:
        yield
    finally:
        del sys.modules[module]
