"""What can go wrong with an archive, each class with its exit code (DAG format 4.9)."""

from __future__ import annotations

import errno
import lzma
import tarfile
import zipfile
import zlib
from enum import IntEnum

from app.executors.program import ProgramError


class Code(IntEnum):
    """Exit codes by class of error."""

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
    """The process was told to end: no error that anything may carry on after."""


_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, UnicodeError)
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def explain(error: Exception, fallback: Code) -> ArchiveError:
    """Turn what the libraries and the system raise into an error with a class."""
    if isinstance(error, ArchiveError):
        return error
    if isinstance(error, NotImplementedError):
        return ArchiveError(Code.DECOMPRESS, f"the archive uses a compression that is not supported ({error})")
    if isinstance(error, OSError) and error.errno is not None and not _is_bad_offset(error):
        return _explain_system(error, fallback)
    # Decompressors raise OSError without a number, and RuntimeError, for data that is none of theirs.
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


def _is_bad_offset(error: OSError) -> bool:
    """Whether the system was asked for a place that a file cannot have: the archive named it."""
    return error.errno == errno.EINVAL and error.filename is None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
