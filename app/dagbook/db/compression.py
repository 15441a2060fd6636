"""Compression of long texts with zstd."""

from __future__ import annotations

import threading

import zstandard

COMPRESS_FROM = 16 * 1024  # characters; a page of short output stays readable with any SQL client
_LEVEL = 1

_of_thread = threading.local()  # a zstd context must not be used by two threads


def compress(text: str) -> bytes | None:
    """Compress a text; None when it is short enough to be stored uncompressed."""
    if len(text) < COMPRESS_FROM:
        return None
    return compress_bytes(text.encode())


def decompress(text: str, packed: bytes | None) -> str:
    """Return the text of a row from its ``text`` and ``packed`` columns."""
    return text if packed is None else decompress_bytes(packed).decode()


def compress_bytes(data: bytes) -> bytes:
    """Compress bytes, however short."""
    if not hasattr(_of_thread, "compressor"):
        _of_thread.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    compressor: zstandard.ZstdCompressor = _of_thread.compressor
    return compressor.compress(data)


def decompress_bytes(packed: bytes) -> bytes:
    """Return the bytes that were compressed."""
    if not hasattr(_of_thread, "decompressor"):
        _of_thread.decompressor = zstandard.ZstdDecompressor()
    decompressor: zstandard.ZstdDecompressor = _of_thread.decompressor
    return decompressor.decompress(packed)
