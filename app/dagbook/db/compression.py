"""Long texts of logs as they are stored, packed by zstd.

Writing 1 MiB of text costs SQLite four times as long as packing it and writing what is left, a tenth of it as a rule,
and what is not written has neither to be synced nor kept.
"""

from __future__ import annotations

import threading

import zstandard

COMPRESS_FROM = 16 * 1024  # characters; a page of short output stays readable with any SQL client
_LEVEL = 1

_of_thread = threading.local()  # neither of zstd's contexts may be used by two threads


def compress(text: str) -> bytes | None:
    """Return a text packed, or None when it is stored as it is."""
    return _compressor().compress(text.encode()) if len(text) >= COMPRESS_FROM else None


def decompress(text: str, packed: bytes | None) -> str:
    """Return the text of a row that has either."""
    return text if packed is None else _decompressor().decompress(packed).decode()


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_of_thread, "compressor"):
        _of_thread.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    compressor: zstandard.ZstdCompressor = _of_thread.compressor
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_of_thread, "decompressor"):
        _of_thread.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _of_thread.decompressor
    return decompressor
