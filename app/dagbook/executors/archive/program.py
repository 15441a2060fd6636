"""The subprocess of an archive step: carries out one operation, in bounded memory."""

from __future__ import annotations

import resource
import signal
import sys
from types import FrameType

from dagbook.executors.archive.create import create
from dagbook.executors.archive.extract import extract, list_entries
from dagbook.executors.archive.options import CREATE, EXTRACT, LIST, read
from dagbook.executors.archive.report import ArchiveError, Cancelled, Code, explain
from dagbook.executors.contract import Job
from dagbook.executors.subprocess_executor import run_program

# A few bytes of xz or 7z may request gigabytes of dictionary.
MOST_MEMORY_BYTES = 2 * 1024**3
_OPERATIONS = {CREATE: create, EXTRACT: extract, LIST: list_entries}
_FALLBACKS = {CREATE: Code.CREATE, EXTRACT: Code.EXTRACT, LIST: Code.OTHER}


def main(job: Job) -> int:
    """Carry out a job, in limited memory and until a signal stops it. Raises ArchiveError."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = MOST_MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MOST_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _cancel)
    return carry_out(job)


def carry_out(job: Job) -> int:
    """Carry out a job. Raises ArchiveError with the exit code of the error."""
    options = read(job)
    try:
        _OPERATIONS[options.operation](options)
    except Cancelled:
        raise ArchiveError(Code.CANCELLED, "stopped before it was done") from None
    except MemoryError:
        code = Code.COMPRESS if options.operation == CREATE else Code.DECOMPRESS
        raise ArchiveError(code, f"more than {MOST_MEMORY_BYTES // 1024**3} GiB of memory would be needed") from None
    except Exception as error:
        raise explain(error, _FALLBACKS[options.operation]) from error
    return 0


def _cancel(number: int, _: FrameType | None) -> None:
    """Clean up and end; a second signal ends the process at once."""
    signal.signal(number, signal.SIG_DFL)
    raise Cancelled


if __name__ == "__main__":
    sys.exit(run_program(main))
