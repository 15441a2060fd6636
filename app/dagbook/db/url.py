"""Database URLs of the settings, without a driver, which Dagbook chooses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from dagbook.settings.database_url import check_options

if TYPE_CHECKING:
    from sqlalchemy import URL

PUBLIC = "public"  # the schema of a PostgreSQL database without another one
_TLS = ("sslmode", "sslrootcert")
_FIX = "write sqlite:///dagbook.db, sqlite:////absolute/path.db or postgresql://user:password@host/name"


# Commands that send their requests to another process need the path of the file and nothing else of the database.
# Without SQLAlchemy, whose import takes longer than the rest of such a command, they start in half the time.
_FILE = re.compile(r"sqlite:///([^?]+)")


def parse_url(text: str) -> URL:
    """Return the URL with an async driver; raises ``ValueError`` with the accepted forms."""
    from sqlalchemy import make_url  # noqa: PLC0415 - see _FILE
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError(f"this is not a database URL; {_FIX}") from None
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.drivername in ("postgresql", "postgres"):
        return _postgres(url)
    raise ValueError(f"{url.drivername!r} is not a supported database (do not give a driver); {_FIX}")


def _sqlite(url: URL) -> URL:
    if url.host:
        raise ValueError(f"a SQLite URL has three slashes before a relative path, four before an absolute one; {_FIX}")
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
    # asyncpg accepts these as libpq does, but the certificate only in a DSN: this one contains nothing else.
    if tls := {name: value for name, value in url.query.items() if name in _TLS}:
        query["dsn"] = f"postgresql://?{urlencode(tls)}"
    return url.set(drivername="postgresql+asyncpg", query=query)


def root_certificate(url: URL) -> str | None:
    """Return the ``sslrootcert`` of a parsed URL: the certificates to verify the server's with."""
    dsn = str(url.query.get("dsn", ""))
    return dict(parse_qsl(urlsplit(dsn).query)).get("sslrootcert")


def sqlite_path(url: str) -> Path | None:
    """Return the absolute path of a SQLite URL; None for PostgreSQL. Raises ``ValueError`` as ``parse_url`` does."""
    if (found := _FILE.fullmatch(url)) and found[1] != ":memory:":
        return Path(found[1]).resolve()
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database is None:
        return None
    return Path(parsed.database).resolve()


def hide_password(url: str) -> str:
    """Return the URL with its password masked, for logs and error messages."""
    from sqlalchemy import make_url  # noqa: PLC0415 - see _FILE
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"
