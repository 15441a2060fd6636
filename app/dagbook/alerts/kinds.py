"""The kinds of alerts: their words, what of them a rule names, and which of them end. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Self

import msgspec

from dagbook.alerts.due import LONGEST_SECONDS, format_seconds
from dagbook.spec.time.duration import duration_seconds

PING = "ping"  # the type of channels that successes are reported to, too
SUSPENDED, ACKNOWLEDGED, UNWATCHED, IN_TIME = "suspended", "acknowledged", "no rule", "in time"
# What is said of a subject at the end of its alert, by what has ended it, where that is not the usual end.
ENDED = {
    "deleted": "was deleted",
    "restored": "was restored from a backup",
    SUSPENDED: "was suspended",
    ACKNOWLEDGED: "was acknowledged",
    UNWATCHED: "is not watched any more",
    IN_TIME: "is not overdue any more",
}
_FACTOR = re.compile(r"x(\d{1,3}(?:\.\d)?)", re.ASCII)


class Kind(StrEnum):
    """A kind of alert, as rules name it: what is said of its subject at the beginning and at the end, and the noun.

    A kind without an end opens no alert: it is told once. ``about`` is the kind of its subject. One that a rule names
    with a limit has an ``example`` of that, and the ``least`` seconds. ``limit`` says that too many are open; no rule
    names it.
    """

    happened: str
    ended: str
    counted: str
    about: str
    example: str
    least: int

    def __new__(  # noqa: PLR0913, PLR0917 - the columns of a table
        cls,
        word: str,
        happened: str = "",
        ended: str = "",
        counted: str = "",
        about: str = "dag",
        example: str = "",
        least: int = 0,
    ) -> Self:
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.happened, kind.ended, kind.counted, kind.about = happened, ended, counted, about
        kind.example, kind.least = example, least
        return kind

    FAILED = "failed", "failed", "succeeded", "failure"
    PARTIAL = "partial", "succeeded partially", "succeeded", "partial success"
    ABORTED = "aborted", "was aborted"
    SUCCEEDED = "succeeded", "succeeded"
    WAITING = "waiting", "waits for an approval", "waits for no approval any more", "approval"
    MISSED = "missed", "missed a start", "started", "missed start"
    OVERDUE = "overdue", "is overdue", "succeeded", "missed deadline", "dag", "overdue 2h", 20
    SLOW = "slow", "is slow", "is done", "slow run", "dag", "slow 10m` or `slow x3", 1
    QUEUED = "queued", "has a waiting run", "waits no more", "wait", "queue", "queued 10m", 1
    SERVER = "server", "is gone", "is alive again", "failure", "service"
    CHANNEL = "channel", "does not work", "works again", "failure", "channel"
    TRIGGER = "trigger", "failed", "works again", "failure", "trigger"
    LIMIT = "limit", "are too many, so no further one was opened", "are fewer, so others are opened again", "event"

    @property
    def ends_with_success(self) -> bool:
        """Whether a root run of the DAG that succeeds ends it, whenever the run began."""
        return self in (Kind.FAILED, Kind.PARTIAL)

    @property
    def is_watched(self) -> bool:
        """Whether no event tells it: a server looks for it from time to time."""
        return self in (Kind.OVERDUE, Kind.SLOW, Kind.QUEUED, Kind.SERVER, Kind.CHANNEL)

    @property
    def goes_on(self) -> bool:
        """Whether an alert that has just ended goes on when it happens again; each approval is news."""
        return self not in (Kind.WAITING, Kind.LIMIT)


class NamedKind(msgspec.Struct, frozen=True):
    """A kind as a rule names it, with its limit: a time, or how many times as long as usual."""

    kind: Kind
    seconds: int = 0
    factor: float = 0.0

    def __str__(self) -> str:
        limit = f"x{self.factor:g}" if self.factor else format_seconds(self.seconds) if self.seconds else ""
        return f"{self.kind} {limit}".rstrip()


def parse_kind(text: str) -> NamedKind:
    """Return what a rule names, such as ``failed``, ``overdue 2h`` or ``slow x3``; raises ValueError."""
    word, _, limit = " ".join(text.lower().split()).partition(" ")
    known = [kind for kind in Kind if kind is not Kind.LIMIT]
    if word not in known:
        plain, others = ([kind for kind in known if bool(kind.least) is limited] for limited in (False, True))
        examples = ", ".join(f"`{kind.example}`" for kind in others)
        raise ValueError(f"is no kind of alert; write one of {', '.join(plain)}, or with a time as {examples}")
    kind = Kind(word)
    if not kind.least:
        if limit:
            raise ValueError(f"has a time, which {kind} does not take; write {kind} alone")
        return NamedKind(kind)
    if kind is Kind.SLOW and (found := _FACTOR.fullmatch(limit)) and float(found[1]) > 1:
        return NamedKind(kind, factor=float(found[1]))
    seconds = duration_seconds(limit)
    if seconds is None or not kind.least <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"has no time of at least {kind.least} s; write one as in `{kind.example}`")
    return NamedKind(kind, int(seconds))


def names(kinds: Iterable[str], kind: Kind) -> bool:
    """Whether a kind is among those that a rule names."""
    return any(text.partition(" ")[0] == kind for text in kinds)
