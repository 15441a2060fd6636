"""Validation of names and ids from clients, and generation of ids (api-behaviour 1.5, DAG format 1.1)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from uuid import UUID

from dagbook.errors import BadRequestError

API_PATH = "/api/v2"
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_RUN_ID = re.compile(r"[-A-Za-z0-9_]+")
LONGEST_NAME, LONGEST_RUN_ID = 40, 64
_MAX_QUEUE = 128
LATEST, LAST_SUCCESS = "latest", "last-success"
_LONGEST_PATH, _LONGEST_PART = 4095, 255  # bytes: the kernel's limits
_SUFFIXES = (".yaml", ".yml")
_SHOWN = 60
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def shorten(text: str) -> str:
    """Quote a text for a message, truncated to 60 characters."""
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def is_name(text: str) -> bool:
    """Whether a text is valid as a DAG name or file name; ``.`` and ``..`` are not."""
    return bool(_NAME.fullmatch(text)) and len(text) <= LONGEST_NAME and text.strip(".") != ""


def strip_suffix(file_name: str) -> str:
    """Remove the extension from a file name, for clients that send it."""
    for suffix in _SUFFIXES:
        file_name = file_name.removesuffix(suffix)
    return file_name


def check_file_name(text: str, field: str = "name") -> str:
    """Validate the file name of a new DAG and return it; raises BadRequestError."""
    check_dag_name(text, field)
    if text.endswith(_SUFFIXES):
        raise BadRequestError(f"{field}: {shorten(text)} must not end in .yaml or .yml")
    return text


def check_dag_name(text: str, field: str) -> str:
    """Validate a DAG name and return it; raises BadRequestError."""
    if not is_name(text):
        raise BadRequestError(
            f"{field}: {shorten(text)} is not a DAG name; use 1 to {LONGEST_NAME} letters, digits, '-', '_' or '.'"
        )
    return text


def check_directory(text: str, field: str) -> str:
    """Validate a client's path of a directory and return it; raises BadRequestError."""
    longest = max(len(part.encode()) for part in text.split("/"))
    if not text.startswith("/") or "\0" in text or longest > _LONGEST_PART or len(text.encode()) > _LONGEST_PATH:
        raise BadRequestError(f"{field}: {shorten(text)} is not the path of a directory; give an absolute path")
    return text


def check_queue(text: str) -> None:
    """Validate the name of a queue, configured or not; raises BadRequestError."""
    if len(text) > _MAX_QUEUE or not text.isprintable():
        raise BadRequestError(
            f"queue: {shorten(text)} is not a queue name; use up to {_MAX_QUEUE} printable characters"
        )


def check_run_id(text: str) -> str:
    """Validate a client's run id and return it; raises BadRequestError."""
    if not _RUN_ID.fullmatch(text) or len(text) > LONGEST_RUN_ID:
        raise BadRequestError(
            f"dagRunId: {shorten(text)} is not a run id; use 1 to {LONGEST_RUN_ID} letters, digits, '-' or '_'"
        )
    if text in (LATEST, LAST_SUCCESS):
        raise BadRequestError(f"dagRunId: {text!r} is reserved for the newest run of that kind; choose another id")
    return text


def new_run_id() -> str:
    """Generate a run id: a UUID of version 7, ordered by time."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    return str(UUID(int=value))


def new_key() -> int:
    """Generate a row key that grows with time: 41 bits of milliseconds, 22 random bits."""
    return ((time.time_ns() // 1_000_000) << 22) | secrets.randbits(22)


def sub_run_id(parent: str, step: str, params: str, salt: str = "") -> str:
    """Derive the id of a sub-run from its caller, so that a retried step finds its sub-run again (runtime 20.3).

    ``salt`` gives each execution of a repeated step its own id.
    """
    text = ":".join((parent, step, params, salt) if salt else (parent, step, params))
    return _base58(hashlib.sha256(text.encode()).digest())


def _base58(data: bytes) -> str:
    number, digits = int.from_bytes(data), ""
    while number:
        number, digit = divmod(number, len(_BASE58))
        digits = _BASE58[digit] + digits
    return _BASE58[0] * (len(data) - len(data.lstrip(b"\0"))) + digits
