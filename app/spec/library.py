"""Texts by content hash, and what they say, kept so that nothing is parsed twice."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from app.spec.load import Loaded, load

_SEPARATOR = b"\0"


def hash_of(spec: str, base: str = "") -> str:
    """Identify a text together with the base configuration that counts for it."""
    return hashlib.sha256(spec.encode() + _SEPARATOR + base.encode()).hexdigest()


def definition_row(spec: str, base: str, at: datetime) -> dict[str, Any]:
    """Make the row of a definition."""
    return {"hash": hash_of(spec, base), "spec": spec, "base": base or None, "created_at": at}


class Library:
    """Definitions that were read already, the most recent ones kept."""

    def __init__(self, size: int = 2048) -> None:
        self._size = size
        self._loaded: dict[tuple[str, str, str], Loaded] = {}

    def read(self, spec: str, *, name: str = "", override: str = "", base: str = "") -> Loaded:
        """Read a definition, or return what it was read as before; names as in ``load``."""
        key = (hash_of(spec, base), name, override)
        loaded = self._loaded.pop(key, None)
        if loaded is None:
            loaded = load(spec, name=name, override=override, base=base)
        self._keep(key, loaded)
        return loaded

    def recall(self, definition_hash: str, override: str) -> Loaded | None:
        """Return a definition that was read under this hash and name override, if it is still kept."""
        key = (definition_hash, "", override)
        loaded = self._loaded.pop(key, None)
        if loaded is not None:
            self._keep(key, loaded)
        return loaded

    def _keep(self, key: tuple[str, str, str], loaded: Loaded) -> None:
        self._loaded[key] = loaded
        while len(self._loaded) > self._size:
            del self._loaded[next(iter(self._loaded))]
