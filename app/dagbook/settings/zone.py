"""The time zone of the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def system_zone(environ: Mapping[str, str]) -> str:
    """Return the machine's zone: from the TZ variable, else from /etc, else UTC."""
    return next((name for name in _candidates(environ) if _is_known(name)), "UTC")


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    yield environ.get("TZ", "").removeprefix(":")
    yield str(Path("/etc/localtime").resolve()).partition("zoneinfo/")[2]
    timezone = Path("/etc/timezone")
    if timezone.is_file():
        yield timezone.read_text(encoding="utf-8", errors="replace").strip()


def _is_known(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return False
