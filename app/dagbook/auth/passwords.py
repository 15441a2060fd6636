"""Passwords: their rules, and bcrypt hashes (api-behaviour 2.3)."""

from __future__ import annotations

import asyncio
import functools
import secrets
from importlib.resources import files

import bcrypt

MIN_CHARACTERS, MAX_BYTES = 8, 72
_GENERATED_BYTES = 12  # 16 characters of base64
_CONCURRENCY = 2


def validation_error(password: str) -> str:
    """Return why a text cannot be a new password, or an empty text."""
    if len(password) < MIN_CHARACTERS:
        return f"is too short; a password has at least {MIN_CHARACTERS} characters"
    if len(password.encode()) > MAX_BYTES:
        return f"is too long; a password has at most {MAX_BYTES} bytes in UTF-8"
    if password.lower() in _common_passwords():
        return "is one of the most common passwords, which are guessed first; choose another one"
    return ""


@functools.cache
def _common_passwords() -> frozenset[str]:
    text = files("dagbook.auth").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def generate() -> str:
    """Generate a random password of 16 characters."""
    return secrets.token_urlsafe(_GENERATED_BYTES)


class Hasher:
    """Hashes and verifies in threads, a few at a time: each takes a core for a good part of a second."""

    def __init__(self, cost: int) -> None:
        self._cost = cost
        self._slots = asyncio.Semaphore(_CONCURRENCY)
        self._dummy_hash = ""

    async def hash(self, password: str) -> str:
        """Hash a valid password."""
        async with self._slots:
            hashed = await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._cost))
        return hashed.decode()

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Verify a password against a hash, or none; takes the same time either way."""
        # Made at the first call of any kind, because the time that takes must not reveal a missing user either.
        self._dummy_hash = self._dummy_hash or await self.hash(generate())
        encoded = password.encode()
        possible = hashed if hashed and len(encoded) <= MAX_BYTES else None
        compared = (possible or self._dummy_hash).encode()
        async with self._slots:
            same = await asyncio.to_thread(bcrypt.checkpw, encoded[:MAX_BYTES], compared)
        return same and possible is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash has another cost than new ones."""
        return hashed.split("$")[2] != f"{self._cost:02}"
