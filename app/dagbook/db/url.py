"""Database addresses as people write them; the driver is Dagbook's choice, not theirs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from dagbook.settings.database_url import check_options

_TLS = ("sslmode", "sslrootcert")
_FIX = "write sqlite:///dagbook.db, sqlite:////absolute/path.db or postgresql://user:password@host/name"


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
    try:
        check_options(url.query)
    except ValueError as error:
        raise ValueError(f"the PostgreSQL URL {error}") from None
    if not url.database:
        raise ValueError(f"the PostgreSQL URL does not name a database; {_FIX}")
    query = {name: value for name, value in url.query.items() if name not in _TLS}
    # asyncpg takes these as libpq does, but the file only in an address of its own: this one has nothing else.
    if tls := {name: value for name, value in url.query.items() if name in _TLS}:
        query["dsn"] = f"postgresql://?{urlencode(tls)}"
    return url.set(drivername="postgresql+asyncpg", query=query)


def root_certificate(url: URL) -> str | None:
    """Return the file of certificates that a parsed URL names for checking the server's."""
    dsn = str(url.query.get("dsn", ""))
    return dict(parse_qsl(urlsplit(dsn).query)).get("sslrootcert")


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
