"""A cache of parsed definitions by content hash."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Awaitable, Callable, Collection
from functools import partial

import msgspec

from dagbook.spec.reading.load import Loaded, load

_SEPARATOR = b"\0"
_Key = tuple[str, str, str, bool]
_MAX_CHARACTERS = 8 * 1024 * 1024  # of all cached texts; parsed, they need at most thirty times as much memory
QUICK = 8 * 1024  # characters that are parsed in a few milliseconds
InThread = Callable[[Callable[[], Loaded]], Awaitable[Loaded]]


def hash_of(spec: str, base: str = "") -> str:
    """Hash a text together with its base configuration."""
    return hashlib.sha256(spec.encode() + _SEPARATOR + base.encode()).hexdigest()


class DefinitionCache:
    """An LRU cache of parsed definitions. Thread-safe.

    ``in_thread`` runs what takes long, up to seconds for a text of a mebibyte, beside an event loop.
    """

    def __init__(self, in_thread: InThread | None = None, size: int = 2048) -> None:
        self._in_thread = in_thread
        self._size = size
        self._lock = threading.Lock()
        self._loaded: dict[_Key, Loaded] = {}
        self._sizes: dict[_Key, int] = {}
        self._characters = 0

    def read(
        self, spec: str, *, name: str = "", override: str = "", base: str = "", base_handlers: bool = True
    ) -> Loaded:
        """Return the parsed definition, from the cache if possible; arguments as of ``load``."""
        key = (hash_of(spec, base), name, override, base_handlers)
        loaded = self._find(key)
        if loaded is None:
            loaded = load(spec, name=name, override=override, base=base, base_handlers=base_handlers)
            if len(spec) <= QUICK or not loaded.problems:
                self._keep(key, loaded, len(spec))
        return loaded

    def _keep(self, key: _Key, loaded: Loaded, characters: int) -> None:
        with self._lock:
            self._characters += characters - self._sizes.get(key, 0)
            self._loaded[key], self._sizes[key] = loaded, characters
            while len(self._loaded) > self._size or self._characters > _MAX_CHARACTERS:
                self._discard(next(iter(self._loaded)))  # the least recently used

    def _discard(self, key: _Key) -> None:
        del self._loaded[key]
        self._characters -= self._sizes.pop(key)

    async def read_aside(
        self, spec: str, *, name: str = "", override: str = "", base: str = "", base_handlers: bool = True
    ) -> Loaded:
        """Return the parsed definition like ``read``, without keeping the event loop from other work."""
        loaded = self._find((hash_of(spec, base), name, override, base_handlers))
        if loaded is not None:
            return loaded
        work = partial(self.read, spec, name=name, override=override, base=base, base_handlers=base_handlers)
        if self._in_thread is None or len(spec) + len(base) <= QUICK:
            return work()
        return await self._in_thread(work)

    def is_cached(self, spec: str, *, name: str = "") -> bool:
        with self._lock:
            return (hash_of(spec), name, "", True) in self._loaded

    def get_called(self, spec: str, dag_name: str, *, base: str = "") -> Loaded:
        """Return the definition of a sub-run: the local DAG of this name, or the main one under it."""
        loaded = self.read(spec, override=dag_name, base=base, base_handlers=False)
        local = loaded.definition.called(dag_name)
        return loaded if local is None else msgspec.structs.replace(loaded, definition=local)

    def get_cached(self, definition_hash: str, override: str) -> Loaded | None:
        """Return the cached definition of this hash and name override, if any."""
        return self._find((definition_hash, "", override, True))

    def evict(self, hashes: Collection[str]) -> None:
        with self._lock:
            for key in [key for key in self._loaded if key[0] in hashes]:
                self._discard(key)

    def _find(self, key: _Key) -> Loaded | None:
        with self._lock:
            loaded = self._loaded.pop(key, None)
            if loaded is not None:
                self._loaded[key] = loaded  # moved to the end: most recently used
            return loaded
