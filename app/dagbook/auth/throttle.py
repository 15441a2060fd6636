"""Throttling of logins: failed logins by name and address, and all attempts of a server."""

from __future__ import annotations

import ipaddress
import math
from collections import deque
from collections.abc import Callable

import msgspec

from dagbook.errors import TooManyAttemptsError

_FIRST_DELAY_SECONDS = 15.0
_MINUTE = 60.0
_NETWORK_BITS = 64  # the IPv6 prefix that a provider assigns to one customer
_MAX_ENTRIES = 1000

Key = tuple[str, str]


class ThrottleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Failures before the first delay, how long they count, and the attempts per minute."""

    failures: int
    window_seconds: float
    per_minute: int


class _Failures(msgspec.Struct):
    count: int
    last: float


class Throttle:
    """Counts failures in this process; ``clock`` is monotonic, in seconds.

    After ``failures`` of them the next attempt has to wait 15 seconds, and twice as long after each further one, up to
    the window. An attempt counts as failed until it succeeds, so that concurrent attempts cannot evade the limit.
    """

    def __init__(self, limits: ThrottleLimits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures: dict[Key, _Failures] = {}
        self._attempts: deque[float] = deque()

    def acquire(self, name: str, address: str) -> None:
        """Admit an attempt; raises TooManyAttemptsError if it is too early."""
        now = self._clock()
        key = (name, network_of(address))
        while self._attempts and self._attempts[0] <= now - _MINUTE:
            self._attempts.popleft()
        is_busy = len(self._attempts) >= self._limits.per_minute
        delay = max(self._delay(key, now), self._attempts[0] + _MINUTE - now if is_busy else 0)
        if delay > 0:
            raise TooManyAttemptsError(math.ceil(delay))
        self._attempts.append(now)
        if len(self._failures) >= _MAX_ENTRIES:
            oldest = now - self._limits.window_seconds
            self._failures = {other: failed for other, failed in self._failures.items() if failed.last > oldest}
        known = self._failures.get(key)
        self._failures[key] = _Failures(known.count + 1 if known else 1, now)

    def succeed(self, name: str, address: str) -> None:
        """Reset the failures of a name and address."""
        self._failures.pop((name, network_of(address)), None)

    def _delay(self, key: Key, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0
        if now - failures.last >= self._limits.window_seconds:
            del self._failures[key]
            return 0
        excess = failures.count - self._limits.failures
        if excess < 0:
            return 0
        delay = min(_FIRST_DELAY_SECONDS * 2.0 ** min(excess, 32), self._limits.window_seconds)
        return failures.last + delay - now


def network_of(address: str) -> str:
    """Return the key of an address: itself, or its /64, of which one customer has all addresses."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - the protocol's own number
        return address
    return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
