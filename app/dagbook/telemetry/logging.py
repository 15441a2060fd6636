"""Log output of the process: one line per record, as key=value text or as JSON, with the id of the request."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from dagbook.telemetry.printable import printable

# Masks the secrets of the run that the current task works for; a record is formatted in the task that logs it.
log_masking: ContextVar[Callable[[str], str] | None] = ContextVar("log_masking", default=None)

# Attributes that every record has; all others were passed in `extra` and are part of the line.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_TEXT_ONLY = re.compile(r"[A-Za-z0-9_.:/@+-]+")
# Value of the response's X-Request-Id header; empty outside of requests.
request_id: ContextVar[str] = ContextVar("request_id", default="")


@contextmanager
def masked_log(mask: Callable[[str], str]) -> Iterator[None]:
    """Mask secrets in log records written inside the block."""
    token = log_masking.set(mask)
    try:
        yield
    finally:
        log_masking.reset(token)


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record; values that are not JSON types are converted with ``str``."""
        return _finished(json.dumps(_fields(self, record), ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """``time level logger message`` as key=value; values with other than simple characters are quoted as JSON.

    Quoting also prevents a line break in a value from starting a forged record.
    """

    def format(self, record: logging.LogRecord) -> str:
        parts: list[str] = []
        for key, value in _fields(self, record).items():
            text = str(value)
            parts.append(f"{key}={text if _TEXT_ONLY.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
        return _finished(" ".join(parts))


class PrintableFormatter(logging.Formatter):
    """The bare message, for commands that configure no log and print warnings alone."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def configure(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Write log records from ``level`` up to stderr or another stream, as ``text`` or ``json``."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    # Do not collect attributes that no line shows: they are half the cost of a record (Python's logging HOWTO).
    logging._srcfile = None  # noqa: SLF001 - the switch that the HOWTO names
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _finished(line: str) -> str:
    """Mask secrets, and escape what JSON leaves of characters that control a terminal."""
    mask = log_masking.get()
    return printable(line if mask is None else mask(line))


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if current := request_id.get():
        fields["request_id"] = current
    fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    if record.stack_info:
        fields["stack"] = formatter.formatStack(record.stack_info)
    return fields
