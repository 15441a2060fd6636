"""Database addresses as people write them; the driver is Dagbook's choice, not theirs."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_FIX = "write sqlite:///dagbook.db, sqlite:////absolute/path.db or postgresql://user:password@host/name"
_POSTGRES_OPTIONS = {"host", "port", "sslmode"}


def parse_url(text: str) -> URL:
    """Return the URL with an async driver; ``ValueError`` says how to write one that Dagbook understands."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(f"this is no database URL; {_FIX}") from None
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.drivername in ("postgresql", "postgres"):
        return _postgres(url)
    raise ValueError(f"{url.drivername!r} is no database that Dagbook knows (it chooses the driver itself); {_FIX}")


def _sqlite(url: URL) -> URL:
    if url.host:
        raise ValueError(f"a SQLite URL has three slashes before a relative path and four before an absolute; {_FIX}")
    if not url.database or url.database == ":memory:" or url.query:
        raise ValueError(f"a SQLite URL names a file and has no options; {_FIX}")
    return url.set(drivername="sqlite+aiosqlite")


def _postgres(url: URL) -> URL:
    unknown = sorted(set(url.query) - _POSTGRES_OPTIONS)
    if unknown:
        known = ", ".join(sorted(_POSTGRES_OPTIONS))
        raise ValueError(f"option {unknown[0]!r} of the PostgreSQL URL is not known; known are {known}")
    if not url.database:
        raise ValueError(f"the PostgreSQL URL does not name a database; {_FIX}")
    query = {("ssl" if name == "sslmode" else name): value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=query)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, resolved; ``None`` for PostgreSQL."""
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None:
        return None
    return Path(parsed.database).resolve()


def hide_password(url: str) -> str:
    """Return the URL fit for a log or an error message."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"
