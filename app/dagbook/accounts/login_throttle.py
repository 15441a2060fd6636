"""Throttling of logins and credentials; counts are in the database, so that all servers on it count together."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from dagbook.accounts.authentication import Credentials
from dagbook.auth.throttle import (
    Attempt,
    Budget,
    ThrottleLimits,
    is_overtaken,
    key_of_site,
    make_attempt,
    network_of,
    site_of,
    wait_seconds,
)
from dagbook.background import BackgroundLoop
from dagbook.clock import Clock
from dagbook.db.database import Database, ReadConnection, WriteConnection
from dagbook.db.errors import DatabaseUnavailable
from dagbook.db.repositories import login_failures
from dagbook.db.repositories.login_failures import FailureCount, Origin
from dagbook.errors import TooManyAttemptsError, TooManyRequestsError

_log = logging.getLogger(__name__)
_KNOWN_FOR = timedelta(days=90)  # since the last login from an address
_PRUNE_SECONDS, _PRUNED_AT_ONCE = 60.0, 1000
_STORE_PAUSE_SECONDS = 0.25  # between two writes of failed credentials, however many fail
_SITES_AT_ONCE = 64  # addresses in one of these writes, which bounds the table too: it holds those of one window
_MAX_SITES, _MAX_CREDENTIALS = 5000, 10_000  # in memory


class LoginThrottle:
    """Admits attempts to log in with name and password.

    An attempt counts as failed until it succeeds, so that concurrent attempts cannot evade the limit.
    """

    def __init__(
        self, database: Database, limits: ThrottleLimits, now: Clock, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._limits = limits
        self._now = now
        self._budget = Budget(limits.per_minute, seconds)

    async def admit(self, username: str, address: str, user_id: str | None) -> Attempt:
        """Count an attempt, with the id of its user if there is one; raises TooManyAttemptsError.

        An attempt that is too early is not counted, and not written.
        """
        now = self._now()

        def read(connection: ReadConnection) -> tuple[Attempt, Origin, dict[str, FailureCount]]:
            origin = login_failures.find_origin(connection, user_id or "", network_of(address), now - _KNOWN_FOR)
            attempt = make_attempt(username, address, is_users=origin.is_users)
            return attempt, origin, login_failures.find(connection, attempt.keys, now)

        attempt, origin, found = await self._database.read_inline(read)
        wait = wait_seconds(self._limits, attempt, found, now)
        # The budget comes last: an address that has failed too often does not use it up.
        if wait > 0 or (wait := self._budget.take(attempt.site, is_known=origin.is_known)) > 0:
            raise TooManyAttemptsError(wait)
        after = await self._database.write(
            lambda connection: self._count(connection, attempt, found, now), durable=False
        )
        if after[attempt.site].count == self._limits.per_address:
            _log.warning("logins from %s are refused after %d failed ones", address, self._limits.per_address)
        return attempt

    def _count(
        self, connection: WriteConnection, attempt: Attempt, found: Mapping[str, FailureCount], now: datetime
    ) -> dict[str, FailureCount]:
        until = now + self._limits.window
        names = {key: 1 for key in (attempt.pair, attempt.by_name) if key}
        after = login_failures.add(connection, {attempt.site: 1}, now, until, extends=False)
        after |= login_failures.add(connection, names, now, until, extends=True)
        if is_overtaken(self._limits, attempt, found, after):
            raise TooManyAttemptsError(max(wait_seconds(self._limits, attempt, after, now), 1))
        return after

    def succeed(self, connection: WriteConnection, attempt: Attempt, user_id: str) -> None:
        """Take the count of an attempt back, and its name's failures from there; the network is known from now on."""
        login_failures.reset(connection, attempt.pair)
        login_failures.take_back(connection, [key for key in (attempt.by_name, attempt.site) if key])
        if attempt.network:
            login_failures.record_login(connection, user_id, attempt.network, self._now())


class _Site(msgspec.Struct):
    """Failed credentials from one address: those in the database, until when they count, and those not yet stored."""

    stored: int
    expires_at: datetime
    pending: int = 0


class CredentialThrottle:
    """Refuses credentials from addresses where too many have failed, logins included.

    Failures are counted in memory, once for each credential, since a program that repeats an expired one guesses
    nothing. They are stored a few times per second, those of all addresses in one write. A credential that was valid
    before is still accepted from such an address.
    """

    def __init__(self, database: Database, limits: ThrottleLimits, now: Clock) -> None:
        self._database = database
        self._limits = limits
        self._now = now
        self._sites: OrderedDict[str, _Site] = OrderedDict()
        self._failed: OrderedDict[bytes, None] = OrderedDict()
        self._valid: OrderedDict[bytes, None] = OrderedDict()
        self._pruned_at: float | None = None
        self._loop = BackgroundLoop(
            "credential throttle",
            self.run_once,
            every_seconds=_PRUNE_SECONDS,
            failure="failed credentials are counted by this server alone for now",
            expected=(DatabaseUnavailable,),
            back_off_seconds=1.0,
        )

    def start(self) -> None:
        """Start to store failures; starting twice is harmless."""
        self._loop.start()

    async def stop(self) -> None:
        """Stop after the active write; stopping without a start is harmless."""
        await self._loop.stop()

    def check(self, credentials: Credentials) -> None:
        """Raise TooManyRequestsError if credentials from this address are refused, before they are verified."""
        if credentials.authorization is None or not self._sites:
            return
        site = self._sites.get(site_of(credentials.address))
        if site is None or site.stored + site.pending < self._limits.per_address:
            return
        wait = (site.expires_at - self._now()).total_seconds()
        if wait > 0 and _digest(credentials) not in self._valid:
            raise TooManyRequestsError("too many invalid credentials from this address; try again later", wait)

    def succeed(self, credentials: Credentials) -> None:
        """Remember valid credentials."""
        if credentials.authorization is not None:
            _put(self._valid, _digest(credentials), _MAX_CREDENTIALS)

    def fail(self, credentials: Credentials) -> None:
        """Count failed credentials; none at all are no guess."""
        if credentials.authorization is None:
            return
        digest = _digest(credentials)
        self._valid.pop(digest, None)
        if digest in self._failed:
            return
        _put(self._failed, digest, _MAX_CREDENTIALS)
        name, now = site_of(credentials.address), self._now()
        site = self._sites.get(name)
        if site is None or site.expires_at <= now:
            site = self._sites[name] = _Site(stored=0, expires_at=now + self._limits.window)
            self._sites.move_to_end(name)
            if len(self._sites) > _MAX_SITES:
                self._sites.popitem(last=False)
        site.pending += 1
        self._loop.wake()

    async def run_once(self) -> None:
        """Store the failures of some addresses, those with the most of them first, and delete expired counts."""
        pending = {name: site for name, site in self._sites.items() if site.pending}
        chosen = sorted(pending, key=lambda name: pending[name].pending, reverse=True)[:_SITES_AT_ONCE]
        if chosen:
            await self._store({name: pending[name] for name in chosen})
            if len(chosen) < len(pending):
                self._loop.wake()
            await asyncio.sleep(_STORE_PAUSE_SECONDS)
        if self._pruned_at is None or time.monotonic() - self._pruned_at >= _PRUNE_SECONDS:
            self._pruned_at = time.monotonic()
            await self._prune()

    async def _store(self, sites: Mapping[str, _Site]) -> None:
        now, names = self._now(), {key_of_site(name): name for name in sites}
        added = {key: sites[name].pending for key, name in names.items()}
        after = await self._database.write(
            lambda connection: login_failures.add(connection, added, now, now + self._limits.window, extends=False),
            durable=False,
        )
        for key, row in after.items():
            site, before = sites[names[key]], sites[names[key]].stored
            site.pending -= added[key]
            site.stored, site.expires_at = row.count, row.expires_at
            if before < self._limits.per_address <= row.count:
                _log.warning("credentials from %s are refused after %d invalid ones", names[key], row.count)

    async def _prune(self) -> None:
        now, deleted = self._now(), _PRUNED_AT_ONCE
        self._sites = OrderedDict((name, site) for name, site in self._sites.items() if site.expires_at > now)
        while deleted == _PRUNED_AT_ONCE and not self._loop.is_stopping:
            deleted = await self._database.write(
                lambda connection: login_failures.prune(connection, now, _PRUNED_AT_ONCE), durable=False
            )


def _digest(credentials: Credentials) -> bytes:
    return hashlib.sha256((credentials.authorization or "").encode("utf-8", "surrogatepass")).digest()


def _put(known: OrderedDict[bytes, None], digest: bytes, most: int) -> None:
    known[digest] = None
    if len(known) > most:
        known.popitem(last=False)
