"""Shares of what is costly to serve, so that one caller does not use up what others need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from dagbook.auth.audit_context import Caller
from dagbook.auth.networks import network_of
from dagbook.errors import TooManyRequestsError
from dagbook.spec.reading.definition_cache import QUICK

_NAMED = ("oidc", "local")  # credentials of one person, without a user in the database
TEXTS_OF_CALLER, TEXTS = 2, 16  # long definitions at a time, each of which may take seconds
SEARCHES_OF_CALLER, SEARCHES = 2, 8  # at a time; each may use a core for seconds


class Shares:
    """Uses at a time: at most ``per_caller`` by one caller, and ``in_all`` by all callers of this server.

    ``what`` names the uses in the message, in the plural; ``retry_seconds`` is when to try again.
    """

    def __init__(self, what: str, per_caller: int, in_all: int | None = None, *, retry_seconds: float) -> None:
        self._what = what
        self._per_caller = per_caller
        self._in_all = in_all
        self._retry_seconds = retry_seconds
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, caller: Caller) -> Iterator[None]:
        """Count a use until the block is left; raises TooManyRequestsError at once if there are too many."""
        key = key_of(caller)
        if self._held[key] >= self._per_caller:
            raise TooManyRequestsError(
                f"you have {self._held[key]} {self._what} at a time, which is the most here; try again when one has "
                "ended",
                self._retry_seconds,
            )
        if self._in_all is not None and self._held.total() >= self._in_all:
            raise TooManyRequestsError(
                f"this server has {self._in_all} {self._what} of all callers at a time; try again later",
                self._retry_seconds,
            )
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]


def hold_for_text(shares: Shares, caller: Caller, text: str) -> AbstractContextManager[None]:
    """Count a text while it is read; a short one does not count. Raises TooManyRequestsError."""
    return shares.hold(caller) if len(text) > QUICK else nullcontext()


def key_of(caller: Caller) -> str:
    """Return who shares one share: a user, else an address (of IPv6 a /64), since others may use the same token."""
    if caller.user_id is not None:
        return f"user {caller.user_id}"
    if caller.via in _NAMED:
        return f"{caller.via} {caller.name}"
    return f"address {network_of(caller.address)}"
