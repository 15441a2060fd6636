"""The kinds of alerts: their words, and which of them end. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Kind(StrEnum):
    """A kind of alert, as rules name it: what is said of its subject at the beginning and at the end, and the noun.

    A kind without an end opens no alert: it is told once. ``limit`` says that too many are open; no rule names it.
    """

    happened: str
    ended: str
    counted: str

    def __new__(cls, word: str, happened: str = "", ended: str = "", counted: str = "") -> Self:
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.happened, kind.ended, kind.counted = happened, ended, counted
        return kind

    FAILED = "failed", "failed", "succeeded", "failure"
    PARTIAL = "partial", "succeeded partially", "succeeded", "partial success"
    ABORTED = "aborted", "was aborted"
    SUCCEEDED = "succeeded", "succeeded"
    WAITING = "waiting", "waits for an approval", "waits for no approval any more", "approval"
    LIMIT = "limit", "are too many, so no further one was opened", "are fewer, so others are opened again", "event"

    @property
    def ends_with_success(self) -> bool:
        """Whether a root run of the DAG that succeeds ends it."""
        return self in (Kind.FAILED, Kind.PARTIAL)


def parse_kind(text: str) -> Kind:
    """Return the kind that a rule names; raises ValueError with the ones that there are."""
    known = [kind for kind in Kind if kind is not Kind.LIMIT]
    if (word := text.strip().lower()) in known:
        return Kind(word)
    raise ValueError(f"is no kind of alert; write one of {', '.join(known)}")
