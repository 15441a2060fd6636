"""Slows down guessing: failed logins of a name from an address, and all attempts of a server."""

from __future__ import annotations

import ipaddress
import math
from collections import deque
from collections.abc import Callable

import msgspec

from app.errors import TooManyAttemptsError

_FIRST_WAIT_SECONDS = 15.0
_MINUTE = 60.0
_NETWORK_BITS = 64  # what a customer of a provider is given, with all its addresses
_MANY = 1000

Key = tuple[str, str]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Failures before the first wait, how long they count, and how many attempts are looked at in a minute."""

    failures: int
    window_seconds: float
    per_minute: int


class _Failures(msgspec.Struct):
    count: int
    last: float


class Throttle:
    """Remembers failures in this process; ``clock`` gives seconds that only grow.

    After ``failures`` of them the next attempt has to wait 15 seconds, and twice as long after each further one, up to
    the window. An attempt counts as failed until it has succeeded, so that many at once are no way around.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._failures: dict[Key, _Failures] = {}
        self._attempts: deque[float] = deque()

    def begin(self, name: str, address: str) -> None:
        """Note an attempt; raises TooManyAttemptsError when it comes too early."""
        now = self._clock()
        key = (name, network_of(address))
        wait = max(self._wait_of(key, now), self._wait_of_server(now))
        if wait > 0:
            raise TooManyAttemptsError(math.ceil(wait))
        self._attempts.append(now)
        self._forget_old(now)
        known = self._failures.get(key)
        self._failures[key] = _Failures(known.count + 1 if known else 1, now)

    def succeed(self, name: str, address: str) -> None:
        """Forget the failures of a name from an address."""
        self._failures.pop((name, network_of(address)), None)

    def _wait_of(self, key: Key, now: float) -> float:
        failures = self._failures.get(key)
        if failures is None:
            return 0
        if now - failures.last >= self._limits.window_seconds:
            del self._failures[key]
            return 0
        over = failures.count - self._limits.failures
        if over < 0:
            return 0
        wait = min(_FIRST_WAIT_SECONDS * 2.0 ** min(over, 32), self._limits.window_seconds)
        return failures.last + wait - now

    def _wait_of_server(self, now: float) -> float:
        while self._attempts and self._attempts[0] <= now - _MINUTE:
            self._attempts.popleft()
        return self._attempts[0] + _MINUTE - now if len(self._attempts) >= self._limits.per_minute else 0

    def _forget_old(self, now: float) -> None:
        if len(self._failures) < _MANY:
            return
        oldest = now - self._limits.window_seconds
        self._failures = {key: failures for key, failures in self._failures.items() if failures.last > oldest}


def network_of(address: str) -> str:
    """Return what an address is counted under: itself, or its /64 where one customer has many."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - the protocol's own number
        return address
    return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))
