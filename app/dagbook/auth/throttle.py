"""Limits of logins: what a failed one counts for, how long the next one has to wait, and the attempts of a server."""

from __future__ import annotations

import hashlib
import ipaddress
from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

_FIRST_DELAY_SECONDS = 15.0
_MINUTE = 60.0
_CUSTOMER_BITS, _SITE_BITS = 64, 48  # the IPv6 prefixes that one network of a customer, and one customer, are given
_MAX_LENGTH = 64  # of an address, which a proxy may have invented
_NAME_FACTOR = 2  # failures by a name from all addresses, for each that is free from one


class ThrottleLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Failures before the first delay of a name, and of an address until its window ends; attempts per minute."""

    failures: int
    per_address: int
    window_seconds: float
    per_minute: int

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.window_seconds)


class Failures(Protocol):
    """Failures of one key that count until ``expires_at``."""

    @property
    def count(self) -> int: ...

    @property
    def last_at(self) -> datetime: ...

    @property
    def expires_at(self) -> datetime: ...


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to log in: the keys that it counts for if it fails.

    ``by_name`` counts a name from all addresses. It is empty where this user has logged in before: guesses from
    elsewhere do not keep a user out there.
    """

    network: str
    pair: str
    by_name: str
    site: str

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.pair, self.by_name, self.site)))


def make_attempt(name: str, address: str, *, is_users: bool) -> Attempt:
    """Return the keys of an attempt; ``is_users``: this user has logged in from this network before."""
    network = network_of(address)
    return Attempt(
        network=network,
        pair=_key("pair", name, network),
        by_name="" if is_users else _key("name", name),
        site=key_of_site(address),
    )


def key_of_site(address: str) -> str:
    """Return the key that counts all failures from an address, or from the /48 of an IPv6 address."""
    return _key("site", site_of(address))


def _key(*parts: str) -> str:
    # With lengths, so that no two lists of parts have one text; a name may hold anything, also lone surrogates.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def wait_seconds(limits: ThrottleLimits, attempt: Attempt, found: Mapping[str, Failures], now: datetime) -> float:
    """Return how long an attempt has to wait because of the failures before it; not above 0: it may start.

    After ``failures`` by one name from one address the next attempt waits 15 seconds, and twice as long after each
    further one, up to the window; so do attempts by that name from all addresses together after twice as many.
    """
    site = found.get(attempt.site)
    is_full = site is not None and site.count >= limits.per_address
    waits = [(site.expires_at - now).total_seconds()] if site is not None and is_full else []
    for key, free in ((attempt.pair, limits.failures), (attempt.by_name, _NAME_FACTOR * limits.failures)):
        failures = found.get(key)
        if failures is not None and failures.count >= free:
            delay = _FIRST_DELAY_SECONDS * 2.0 ** min(failures.count - free, 32)
            passed = (now - failures.last_at).total_seconds()
            waits.append(min(delay, limits.window_seconds) - passed)
    return max(waits, default=0.0)


def is_overtaken(
    limits: ThrottleLimits, attempt: Attempt, seen: Mapping[str, Failures], after: Mapping[str, Failures]
) -> bool:
    """Whether attempts that were counted since ``seen`` leave no place for this one, which ``after`` includes."""
    if after[attempt.site].count > limits.per_address:
        return True
    for key, free in ((attempt.pair, limits.failures), (attempt.by_name, _NAME_FACTOR * limits.failures)):
        if key:
            before = seen[key].count if key in seen else 0
            if after[key].count > max(free, before + 1):
                return True
    return False


class Budget:
    """Login attempts of one server within a minute, since each takes a core for the time of a password hash.

    An address gets at most half of them, and all addresses from which no user has logged in three quarters, so that
    neither one address nor many unknown ones keep out a user at a known one. ``clock`` is monotonic, in seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._limit = per_minute
        self._strangers_limit = max(per_minute * 3 // 4, 1)
        self._address_limit = max(per_minute // 2, 1)
        self._clock = clock
        self._attempts: deque[tuple[float, str, bool]] = deque()
        self._by_site: Counter[str] = Counter()
        self._strangers = 0

    def take(self, site: str, *, is_known: bool) -> float:
        """Count an attempt and return 0, or return after how many seconds there is room for it."""
        now = self._clock()
        self._forget_before(now - _MINUTE)
        if len(self._attempts) >= self._limit:
            return self._attempts[0][0] + _MINUTE - now
        if self._by_site[site] >= self._address_limit:
            return self._first(lambda other, _: other == site) + _MINUTE - now
        if not is_known and self._strangers >= self._strangers_limit:
            return self._first(lambda _, known: not known) + _MINUTE - now
        self._attempts.append((now, site, is_known))
        self._by_site[site] += 1
        self._strangers += not is_known
        return 0

    def _first(self, is_meant: Callable[[str, bool], bool]) -> float:
        return next(at for at, site, is_known in self._attempts if is_meant(site, is_known))

    def _forget_before(self, oldest: float) -> None:
        while self._attempts and self._attempts[0][0] <= oldest:
            _, site, is_known = self._attempts.popleft()
            self._strangers -= not is_known
            self._by_site[site] -= 1
            if not self._by_site[site]:
                del self._by_site[site]


def network_of(address: str) -> str:
    """Return the network of an address: itself, or its /64, in which one machine has all addresses."""
    return _prefix(address, _CUSTOMER_BITS)


def site_of(address: str) -> str:
    """Return what failures of all names are counted for: an IPv4 address, or the /48 of an IPv6 address."""
    return _prefix(address, _SITE_BITS)


def _prefix(address: str, bits: int) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:_MAX_LENGTH]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:  # how a server that listens on :: sees clients of IPv4
        return str(found.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(found), bits), strict=False))
