"""What an archive step reports: errors with their exit codes, one JSON document on stdout, progress on stderr."""

from __future__ import annotations

import errno
import json
import lzma
import sys
import tarfile
import time
import zipfile
import zlib
from enum import IntEnum

from dagbook.executors.subprocess_executor import ProgramError

_MOST_ERRORS = 1_000
_MILLISECOND, _SECOND, _MINUTE, _HOUR = 1e-3, 1.0, 60, 3600
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, UnicodeError)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Code(IntEnum):
    """Exit codes by class of error (DAG format 4.9)."""

    OTHER = 1
    CONFIG = 2
    SOURCE = 3
    DESTINATION = 4
    FORMAT = 5
    EXTRACT = 6
    CREATE = 7
    COMPRESS = 8
    DECOMPRESS = 9
    PERMISSION = 10
    SPACE = 11
    CORRUPT = 12
    PASSWORD = 13
    CANCELLED = 14


class ArchiveError(ProgramError):
    """An operation on an archive failed; the sentence is for the user."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"archive: {message}", int(code))


class Cancelled(BaseException):
    """The process was asked to end; no ``except Exception`` may continue after it."""


def explain(error: Exception, fallback: Code) -> ArchiveError:
    """Turn an exception of a library or the system into an error with an exit code."""
    if isinstance(error, ArchiveError):
        return error
    if isinstance(error, NotImplementedError):
        return ArchiveError(Code.DECOMPRESS, f"the archive uses a compression that is not supported ({error})")
    # EINVAL without a file: the archive named an offset that no file can have.
    is_bad_offset = isinstance(error, OSError) and error.errno == errno.EINVAL and error.filename is None
    if isinstance(error, OSError) and error.errno is not None and not is_bad_offset:
        return _explain_system(error, fallback)
    # Decompressors raise OSError without a number, and RuntimeError, for data in another format.
    if fallback is not Code.CREATE and isinstance(error, (*_DAMAGED, OSError, RuntimeError)):
        return ArchiveError(Code.CORRUPT, f"the archive is damaged or cut off ({_first_line(error)})")
    return ArchiveError(fallback, f"{type(error).__name__}: {_first_line(error)}")


def _explain_system(error: OSError, fallback: Code) -> ArchiveError:
    where = f"{error.filename!s}: " if error.filename is not None else ""
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return ArchiveError(Code.PERMISSION, f"{where}{error.strerror}")
    if error.errno in _NO_SPACE:
        return ArchiveError(Code.SPACE, f"{where}no space left ({error.strerror})")
    return ArchiveError(fallback, f"{where}{error.strerror}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class Report:
    """Collects errors that do not end the step, and measures its duration."""

    def __init__(self, *, verbose: bool) -> None:
        self.errors: list[str] = []
        self._verbose = verbose
        self._started_at = time.monotonic()

    def log(self, text: str) -> None:
        """Write a line to stderr if the step is verbose."""
        if self._verbose:
            _write_line(text)

    def record(self, error: ArchiveError) -> None:
        """Record an error that does not end the step."""
        _write_line(f"{error} - continuing because of continueOnError")
        if len(self.errors) < _MOST_ERRORS:
            self.errors.append(str(error))

    def duration(self) -> str:
        """Return the time since the start, as ``1.5ms``, ``2.25s`` or ``1m2s``."""
        return format_duration(time.monotonic() - self._started_at)

    def errors_member(self) -> dict[str, list[str]]:
        """Return the member of the document that exists only when there were errors."""
        return {"errors": self.errors} if self.errors else {}


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def dump(value: object, indent: str = "") -> str:
    """Format a value as JSON with two spaces of indent, below a line that is indented by ``indent``."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return text.replace("\n", f"\n{indent}")


def format_duration(seconds: float) -> str:
    """Format a duration with its units."""
    if seconds < _SECOND:
        return f"{_format_number(seconds / _MILLISECOND)}ms"
    minutes, rest = divmod(seconds, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    parts = [f"{hours:.0f}h"] if hours else []
    parts += [f"{minutes:.0f}m"] if hours or minutes else []
    return "".join((*parts, f"{_format_number(rest)}s"))


def _format_number(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
