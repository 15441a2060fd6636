"""Throttling of guesses: a bucket of failed logins per name and address, one of all failures per address, and a budget.

All of it is in memory: each server counts what is tried at it, and none writes for a stranger.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from dagbook.accounts.authentication import Credentials
from dagbook.auth.networks import network_of, site_of
from dagbook.errors import TooManyAttemptsError, TooManyRequestsError

V = TypeVar("V")
_log = logging.getLogger(__name__)
FAILURES, FAILURES_OF_ADDRESS = 5, 100  # before the first delay, and before an address is refused
WINDOW_SECONDS = 900.0
_FIRST_DELAY_SECONDS = 15.0
_MINUTE = 60.0
_MOST = 10_000  # buckets, addresses and credentials that are kept, those that were used last
Seconds = Callable[[], float]  # a monotonic clock


class Bucket(msgspec.Struct):
    """Failures until the end of a window."""

    ends_at: float
    count: int = 0
    last_at: float = 0.0

    def delay(self, now: float) -> float:
        """Return the seconds that the next attempt of a name waits.

        That is 15 after five failures, and twice as many after each further one, up to the window.
        """
        if self.count < FAILURES:
            return 0.0
        delay = _FIRST_DELAY_SECONDS * 2.0 ** min(self.count - FAILURES, 32)
        return max(min(delay, WINDOW_SECONDS) - (now - self.last_at), 0.0)

    def rest(self, now: float) -> float:
        """Return the seconds that an address waits: after a hundred failures until the end of the window."""
        return max(self.ends_at - now, 0.0) if self.count >= FAILURES_OF_ADDRESS else 0.0


class Buckets:
    """Buckets by key."""

    def __init__(self, seconds: Seconds) -> None:
        self._seconds = seconds
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def get(self, key: bytes) -> Bucket:
        """Return the present bucket, else an empty one."""
        now, found = self._seconds(), self._buckets.get(key)
        return found if found is not None and found.ends_at > now else Bucket(now + WINDOW_SECONDS)

    def add(self, key: bytes, *, extends: bool) -> int:
        """Add a failure, which ``extends`` the window or not, and return the count."""
        bucket, now = self.get(key), self._seconds()
        bucket.count, bucket.last_at = bucket.count + 1, now
        if extends:
            bucket.ends_at = now + WINDOW_SECONDS
        _put(self._buckets, key, bucket)
        return bucket.count

    def take_back(self, key: bytes, count: int = 1) -> None:
        """Subtract failures."""
        bucket = self.get(key)
        bucket.count = max(bucket.count - count, 0)


class Attempt(NamedTuple):
    """The keys of an attempt to log in: its name and address, and its address alone."""

    of_name: bytes
    of_site: bytes


class LoginThrottle:
    """Admits attempts to log in with name and password, which count as failed until they succeed.

    A server has ``per_minute`` of them, since each takes a core for the time of a password hash. An address gets at
    most half, and a quarter is kept for addresses from which a user has logged in since the start of the server.
    """

    def __init__(self, sites: Buckets, per_minute: int, seconds: Seconds = time.monotonic) -> None:
        self._sites = sites
        self._names = Buckets(seconds)
        self._per_minute = per_minute
        self._seconds = seconds
        self._admitted: deque[tuple[float, bytes, bool]] = deque()  # in the last minute: when, of which site, if known
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def admit(self, username: str, address: str) -> Attempt:
        """Count an attempt; raises TooManyAttemptsError for one that is too early, which is not counted."""
        now, site = self._seconds(), site_of(address)
        attempt = Attempt(_hash("name", username, network_of(address)), _hash("site", site))
        wait = max(self._names.get(attempt.of_name).delay(now), self._sites.get(attempt.of_site).rest(now))
        # The budget comes last: an address that has failed too often does not use it up.
        wait = wait or self._take(attempt.of_site, now)
        if wait:
            raise TooManyAttemptsError(wait)
        self._names.add(attempt.of_name, extends=True)
        if self._sites.add(attempt.of_site, extends=False) == FAILURES_OF_ADDRESS:
            _log.warning("logins from %s are refused after %d failed ones", address, FAILURES_OF_ADDRESS)
        return attempt

    def succeed(self, attempt: Attempt) -> None:
        """Take the failure of an attempt back, and all of its name from there."""
        self._names.take_back(attempt.of_name, self._names.get(attempt.of_name).count)
        self._sites.take_back(attempt.of_site)
        _put(self._known, attempt.of_site, None)

    def _take(self, site: bytes, now: float) -> float:
        """Take one of the attempts of a minute and return 0, or return after how many seconds there is one."""
        while self._admitted and self._admitted[0][0] <= now - _MINUTE:
            self._admitted.popleft()
        is_known = site in self._known
        of_site = [at for at, other, _ in self._admitted if other == site]
        of_strangers = [] if is_known else [at for at, _, known in self._admitted if not known]
        for times, part in (([at for at, _, _ in self._admitted], 1.0), (of_site, 0.5), (of_strangers, 0.75)):
            if len(times) >= max(int(self._per_minute * part), 1):
                return times[0] + _MINUTE - now
        self._admitted.append((now, site, is_known))
        return 0.0


class CredentialThrottle:
    """Refuses bearer tokens and passwords of HTTP Basic from addresses where too many different ones have failed.

    Each counts once, since a program that repeats an expired one guesses nothing. One that was valid before is still
    accepted from such an address.
    """

    def __init__(self, sites: Buckets, seconds: Seconds = time.monotonic) -> None:
        self._sites = sites
        self._seconds = seconds
        self._failed: OrderedDict[bytes, None] = OrderedDict()
        self._valid: OrderedDict[bytes, None] = OrderedDict()

    def check(self, credentials: Credentials) -> None:
        """Raise TooManyRequestsError if credentials from this address are refused, before they are verified."""
        if credentials.authorization is None or not self._sites:
            return
        wait = self._sites.get(_hash("site", site_of(credentials.address))).rest(self._seconds())
        if wait and _hash(credentials.authorization) not in self._valid:
            raise TooManyRequestsError("too many invalid credentials from this address; try again later", wait)

    def succeed(self, credentials: Credentials) -> None:
        """Remember valid credentials."""
        if credentials.authorization is not None:
            _put(self._valid, _hash(credentials.authorization), None)

    def fail(self, credentials: Credentials) -> None:
        """Count failed credentials; none at all are no guess."""
        if credentials.authorization is None:
            return
        digest, site = _hash(credentials.authorization), site_of(credentials.address)
        self._valid.pop(digest, None)
        if digest in self._failed:
            return
        _put(self._failed, digest, None)
        if self._sites.add(_hash("site", site), extends=False) == FAILURES_OF_ADDRESS:
            _log.warning("credentials from %s are refused after %d invalid ones", site, FAILURES_OF_ADDRESS)


def _hash(*parts: str) -> bytes:
    """Return a key of bounded size: a name may be long, or a password."""
    text = "".join(f"{len(part)}:{part}" for part in parts)  # no two lists of parts have one text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _put(known: OrderedDict[bytes, V], key: bytes, value: V) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > _MOST:
        known.popitem(last=False)
