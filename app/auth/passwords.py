"""Passwords: their rules, and their hashes by bcrypt (api-behaviour 2.3)."""

from __future__ import annotations

import asyncio
import secrets

import bcrypt

FEWEST_CHARACTERS, MOST_BYTES = 8, 72
_GENERATED_BYTES = 12  # 16 characters of base64
_AT_ONCE = 2


def what_is_wrong_with(password: str) -> str:
    """Say what keeps a text from being a new password, or return an empty text."""
    if len(password) < FEWEST_CHARACTERS:
        return f"is too short; a password has at least {FEWEST_CHARACTERS} characters"
    if len(password.encode()) > MOST_BYTES:
        return f"is too long; a password has at most {MOST_BYTES} bytes in UTF-8"
    return ""


def make_up() -> str:
    """Make a random password of 16 characters."""
    return secrets.token_urlsafe(_GENERATED_BYTES)


class Hasher:
    """Hashes and compares in threads, a few at a time: each takes a core for a good part of a second."""

    def __init__(self, cost: int) -> None:
        self._cost = cost
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._nobody = ""

    async def hash(self, password: str) -> str:
        """Hash a password that the rules allow."""
        async with self._turns:
            hashed = await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(self._cost))
        return hashed.decode()

    async def fits(self, password: str, hashed: str | None) -> bool:
        """Compare a password with a hash, or with none; takes the same time either way."""
        # Made at the first comparison of any kind, for the time that takes must not tell either.
        self._nobody = self._nobody or await self.hash(make_up())
        encoded = password.encode()
        possible = hashed if len(encoded) <= MOST_BYTES else None
        compared = (possible or self._nobody).encode()
        async with self._turns:
            same = await asyncio.to_thread(bcrypt.checkpw, encoded[:MOST_BYTES], compared)
        return same and possible is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether a hash was made at another cost than new ones are."""
        return hashed.split("$")[2] != f"{self._cost:02}"
