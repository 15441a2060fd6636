"""A listing of a directory of this machine, as the account of a DAG."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from dagbook.triggers.looks.comparison import Entry, Listing
from dagbook.triggers.looks.options import MOST_ENTRIES, Place, file_entry_item
from dagbook.unix.unix_accounts import AccountError, files_as

_NANOSECONDS, _LAST_SECOND = 10**9, 253_402_300_799.0  # of the year 9999
_LONGEST_PATH = 2_500  # bytes; an index of PostgreSQL takes 2,704


class LookError(Exception):
    """A look was not possible; the message is shown as the problem of the trigger."""


class FileFound(msgspec.Struct, frozen=True):
    """A regular file of a directory; ``changed`` is the time of its last change in nanoseconds."""

    name: str
    size: int
    changed: int

    @property
    def fingerprint(self) -> str:
        return f"{self.size}-{self.changed}"


def list_files(place: Place, account: str) -> Listing:
    """List the files that count; raises LookError. It may take as long as the file system does."""
    try:
        with files_as(account), os.scandir(place.directory) as found:
            return choose(place, map(_read, found))
    except AccountError as error:
        raise LookError(str(error)) from error
    except OSError as error:
        raise LookError(f"{place.directory} cannot be listed: {error.strerror}") from error


def choose(place: Place, found: Iterable[FileFound | None]) -> Listing:
    """Return the files that count, of all that a directory has; raises LookError if that is too much.

    With a marker the file of that name decides: it says when the other one is whole, also when that is replaced.
    """
    files: dict[str, FileFound] = {}
    unreadable = 0
    for number, each in enumerate(found):
        if number == MOST_ENTRIES:
            raise LookError(f"{place.directory} has more than {MOST_ENTRIES:,} names; look at a directory with less")
        if each is not None and _is_usable(place.path(each.name), each.name):
            files[each.name] = each
        unreadable += each is not None and each.name not in files
    entries = {}
    for name, file in files.items():
        sign = files.get(f"{name}{place.marker}")
        if sign is not None and place.counts(name):
            # A file system, or a server, may say any time.
            seconds = min(max(file.changed / _NANOSECONDS, 0.0), _LAST_SECOND)
            path, modified = place.path(name), datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
            item = file_entry_item(place, name, file.size, modified)
            entries[path] = Entry(path=path, fingerprint=sign.fingerprint, order=file.changed, item=item)
    return Listing(entries=entries, unreadable=unreadable)


def _is_usable(path: str, name: str) -> bool:
    """Whether a name is UTF-8, and one of a file, whatever a server says; the rows of what was seen have limits."""
    try:
        return len(path.encode()) <= _LONGEST_PATH and "/" not in name and "\0" not in name
    except UnicodeEncodeError:
        return False


def _read(entry: os.DirEntry[str]) -> FileFound | None:
    """Return a regular file; no link is followed, and nothing is opened."""
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # removed meanwhile
        return None
    return FileFound(entry.name, found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
