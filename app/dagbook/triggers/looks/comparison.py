"""What has changed between looks, and has come to rest. Pure; the time is an argument."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from dagbook.json_values import Json

GONE_SECONDS = 1.0  # at least, so that it takes two looks
_LONGEST_LIST = 30 * 1024  # bytes of JSON; a value of a param has 32 KiB at most


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What is there: a file, or the content of an address.

    ``fingerprint`` differs when it has changed, ``order`` is by age, ``item`` is what the params of an event may name,
    and ``body`` the content.
    """

    path: str
    fingerprint: str
    order: int = 0
    item: Mapping[str, Json]
    body: bytes | None = None
    content_type: str = ""


Entries = Mapping[str, Entry]  # by path


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a look has seen, and how many names are no text and are left out."""

    entries: Entries
    unreadable: int = 0


class Pending(msgspec.Struct, frozen=True):
    """A change that may not be over, and since when it is seen like this; without a fingerprint it is gone."""

    fingerprint: str | None
    since: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What a look has found: new or changed entries that rest, those that are gone, and what is still to rest."""

    settled: Sequence[Entry]
    gone: Sequence[str]
    pending: Mapping[str, Pending]

    def next_in(self, now: float, settle: float) -> float | None:
        """Return in how many seconds the next change will have rested, if nothing happens; None without any."""
        waits = [each.since + _rest(each.fingerprint, settle) - now for each in self.pending.values()]
        return max(min(waits), 0.0) if waits else None


def compare(
    known: Mapping[str, str], entries: Entries, before: Mapping[str, Pending], times: tuple[float, float], settle: float
) -> Comparison:
    """Compare what is there with the fingerprints of what was handled, and with the changes that did not rest yet.

    A change rests when ``settle`` seconds lie between the first look that saw it and this one, and each look between
    saw the same. ``times`` are those before and after this look, which may take long: a change is seen at its end at
    the latest, and at rest at its beginning.
    """
    began, ended = times
    settled, gone, pending = [], [], {}
    for path in known.keys() | entries.keys():
        entry = entries.get(path)
        fingerprint = None if entry is None else entry.fingerprint
        if fingerprint == known.get(path):
            continue
        first = before.get(path)
        since = first.since if first is not None and first.fingerprint == fingerprint else ended
        if (rest := _rest(fingerprint, settle)) > 0.0 and began - since < rest:
            pending[path] = Pending(fingerprint, since)
        elif entry is None:
            gone.append(path)
        else:
            settled.append(entry)
    settled.sort(key=lambda each: (each.order, each.path))
    return Comparison(settled=settled, gone=gone, pending=pending)


def _rest(fingerprint: str | None, settle: float) -> float:
    return settle if fingerprint is not None else max(settle, GONE_SECONDS)


def batches(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield the entries that one event has: as many as fit into the value of a param."""
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        added = max(len(msgspec.json.encode(value)) for value in entry.item.values()) + 1
        if batch and size + added > _LONGEST_LIST:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += added
    if batch:
        yield batch


def together(entries: Sequence[Entry]) -> Mapping[str, Json]:
    """Return the item of an event for several entries: a list of each value, and their number."""
    names = entries[0].item.keys()
    return {name: [each.item[name] for each in entries] for name in names} | {"count": len(entries)}
