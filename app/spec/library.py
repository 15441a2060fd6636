"""Texts by content hash, and what they say, kept so that nothing is parsed twice."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec

from app.spec.load import Loaded, load

_SEPARATOR = b"\0"
_Key = tuple[str, str, str, bool]


def hash_of(spec: str, base: str = "") -> str:
    """Identify a text together with the base configuration that counts for it."""
    return hashlib.sha256(spec.encode() + _SEPARATOR + base.encode()).hexdigest()


def definition_row(spec: str, base: str, at: datetime) -> dict[str, Any]:
    """Make the row of a definition."""
    return {"hash": hash_of(spec, base), "spec": spec, "base": base or None, "created_at": at}


class Library:
    """Definitions that were read already, the most recent ones kept. Threads that read rows use it too."""

    def __init__(self, size: int = 2048) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._loaded: dict[_Key, Loaded] = {}

    def read(
        self, spec: str, *, name: str = "", override: str = "", base: str = "", base_handlers: bool = True
    ) -> Loaded:
        """Read a definition, or return what it was read as before; arguments as of ``load``."""
        key = (hash_of(spec, base), name, override, base_handlers)
        loaded = self._find(key)
        if loaded is None:
            loaded = load(spec, name=name, override=override, base=base, base_handlers=base_handlers)
            self._keep(key, loaded)
        return loaded

    def read_called(self, spec: str, dag_name: str, *, base: str = "") -> Loaded:
        """Read the definition of a sub-run: the document of this name, or the main one under it."""
        loaded = self.read(spec, override=dag_name, base=base, base_handlers=False)
        local = loaded.definition.called(dag_name)
        return loaded if local is None else msgspec.structs.replace(loaded, definition=local)

    def recall(self, definition_hash: str, override: str) -> Loaded | None:
        """Return a definition that was read under this hash and name override, if it is still kept."""
        return self._find((definition_hash, "", override, True))

    def forget(self, hashes: Collection[str]) -> None:
        """Remember nothing of these definitions any more."""
        with self._lock:
            for key in [key for key in self._loaded if key[0] in hashes]:
                del self._loaded[key]

    def _find(self, key: _Key) -> Loaded | None:
        with self._lock:
            loaded = self._loaded.pop(key, None)
            if loaded is not None:
                self._loaded[key] = loaded  # last, so that it goes last
            return loaded

    def _keep(self, key: _Key, loaded: Loaded) -> None:
        with self._lock:
            self._loaded[key] = loaded
            while len(self._loaded) > self._size:
                del self._loaded[next(iter(self._loaded))]
