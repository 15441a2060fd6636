"""The address of the database: one text that may hold a password, so no message here repeats it."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from app.settings.kinds import Kind, Plain, Raw, under

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_FORMS = f"write {_SQLITE}PATH or {_POSTGRESQL}USER:PASSWORD@HOST:PORT/NAME"
_SECRET_OPTION = re.compile(r"((?:^|&)[^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE)


def read(raw: Raw, folder: Path) -> str:
    """Check an address and make a SQLite file's path absolute."""
    if not isinstance(raw, str):
        raise ValueError(f"a list is given where one address belongs; {_FORMS}")  # noqa: TRY004 - one error for all
    if raw.startswith(_SQLITE):
        return _sqlite(raw.removeprefix(_SQLITE), folder)
    if raw.startswith(_POSTGRESQL):
        return _postgresql(raw)
    if re.match(r"(sqlite|postgres(ql)?)\+\w+:", raw):
        raise ValueError(f"names a driver, but Dagbook chooses it; {_FORMS}")
    raise ValueError(f"is not the address of a database that Dagbook knows; {_FORMS}")


def _sqlite(path: str, folder: Path) -> str:
    if not path or path.startswith(":memory:") or path.endswith("/") or re.search(r"[?\0]", path):
        raise ValueError(f"is not a file that keeps anything; write {_SQLITE}PATH, without options")
    return f"{_SQLITE}{under(folder, path)}"


def _postgresql(url: str) -> str:
    parts = urlsplit(url)
    # A raw # / ? or @ in a password moves the rest of it out of the place where it would be hidden.
    if parts.fragment or "@" in parts.path or "@" in parts.query or not _has_port_or_none(parts):
        raise ValueError(f"cannot be taken apart; a special character of a password is written as %XX; {_FORMS}")
    return url


def _has_port_or_none(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def hide(url: object) -> Plain:
    """Put *** in place of every password."""
    parts = urlsplit(str(url))
    before, at, host = parts.netloc.rpartition("@")
    user, colon, _password = before.partition(":")
    query = _SECRET_OPTION.sub(r"\1***", parts.query)
    hidden = f"{user}{colon}{'***' if colon else ''}{at}{host}"
    return f"{parts.scheme}://{hidden}{parts.path}" + (f"?{query}" if query else "")


DATABASE_URL = Kind(name="database address", read=read, plain=hide)
