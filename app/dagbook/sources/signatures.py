"""Signatures of requests of Git hosts, and the delay of further wrong ones."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NoReturn

from dagbook.auth.networks import network_of
from dagbook.errors import BadRequestError, TooManyRequestsError, UnauthorizedError

_SIGNATURE = re.compile("sha256=([0-9a-f]{64})")
_SHORTEST, _LONGEST = 24, 500  # characters of a secret
_FREE = 5  # wrong signatures of a source before the first delay
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS = 15.0, 900.0
_MOST_DOUBLED = 10
_MAX_KEYS = 10_000
ReadBody = Callable[[Callable[[bytes], object]], Awaitable[None]]


def check_secret(secret: str, field: str = "hookSecret") -> None:
    """Raise BadRequestError for a secret that can be guessed, or is too long; there may be none."""
    if secret and not _SHORTEST <= len(secret) <= _LONGEST:
        raise BadRequestError(
            f"{field}: must have {_SHORTEST} to {_LONGEST} characters; write random ones, such as those of "
            "`openssl rand -hex 16`, here and at the Git host"
        )


async def is_signed(secret: str, read: ReadBody, signature: str) -> bool:
    """Whether a body was signed with a secret (HMAC-SHA256); ``read`` gives each part of it to a function.

    It is read without a secret, too, so that the time does not tell; not for a text that is no signature.
    """
    given = _SIGNATURE.fullmatch(signature.strip().lower())
    if given is None:
        return False
    digest = hmac.new((secret or secrets.token_hex()).encode(), digestmod=hashlib.sha256)
    await read(digest.update)
    return hmac.compare_digest(digest.hexdigest(), given[1])


class WrongSignatures:
    """Wrong signatures by source and network, as this process has seen them; ``free`` ones come before a delay."""

    def __init__(
        self,
        seconds: Callable[[], float] = time.monotonic,
        *,
        free: int = _FREE,
        message: str = "the signature does not fit the body and the secret of the source",
    ) -> None:
        self._seconds = seconds
        self._free = free
        self._message = message
        self._found: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()  # how many, and when the last

    def check(self, source: str, address: str) -> int:
        """Return how many wrong signatures count; raises TooManyRequestsError if it is too early after them.

        After those that are free (five) the next one has to wait 15 seconds, and twice as long after each further one,
        up to 15 minutes. One that is too early does not count.
        """
        now = self._seconds()
        many, last = self._found.get((source, network_of(address)), (0, now))
        if now - last >= _LONGEST_DELAY_SECONDS:
            return 0
        if many >= self._free:
            delay = min(_FIRST_DELAY_SECONDS * 2.0 ** min(many - self._free, _MOST_DOUBLED), _LONGEST_DELAY_SECONDS)
            if (wait := last + delay - now) > 0:
                raise TooManyRequestsError("too many wrong signatures from this address", wait)
        return many

    def refuse(self, source: str, address: str) -> NoReturn:
        """Raise UnauthorizedError for a wrong signature, or TooManyRequestsError if it is too early after others."""
        key, many = (source, network_of(address)), self.check(source, address)
        self._found[key] = (many + 1, self._seconds())
        self._found.move_to_end(key)
        if len(self._found) > _MAX_KEYS:
            self._found.popitem(last=False)
        raise UnauthorizedError(self._message, "")
