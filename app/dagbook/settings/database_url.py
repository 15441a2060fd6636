"""The database URL. It may contain a password, so no message here repeats it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from dagbook.settings.readers import Displayed, Raw, absolute

_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_FORMS = f"write {_SQLITE}PATH or {_POSTGRESQL}USER:PASSWORD@HOST:PORT/NAME"
# The known options of a PostgreSQL URL, and the values of sslmode.
OPTIONS = ("host", "port", "sslmode", "sslrootcert")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_SECRET_OPTION = re.compile(r"((?:^|&)[^=&]*pass[^=&]*=)[^&]*", re.IGNORECASE)


def read(raw: Raw, folder: Path) -> str:
    """Validate a URL and make a SQLite file's path absolute."""
    if not isinstance(raw, str):
        raise ValueError(f"a list is given where one address belongs; {_FORMS}")  # noqa: TRY004 - one error for all
    if raw.startswith(_SQLITE):
        path = raw.removeprefix(_SQLITE)
        if not path or path.startswith(":memory:") or path.endswith("/") or re.search(r"[?\0]", path):
            raise ValueError(f"is not a file that keeps anything; write {_SQLITE}PATH, without options")
        return f"{_SQLITE}{absolute(folder, path)}"
    if raw.startswith(_POSTGRESQL):
        return _postgresql(raw, folder)
    if re.match(r"(sqlite|postgres(ql)?)\+\w+:", raw):
        raise ValueError(f"names a driver, but Dagbook chooses it; {_FORMS}")
    raise ValueError(f"is not the address of a database that Dagbook knows; {_FORMS}")


def _postgresql(url: str, folder: Path) -> str:
    parts = urlsplit(url)
    try:
        is_port_valid = parts.port != 0
    except ValueError:
        is_port_valid = False
    # After a raw # / ? or @ the rest of a password would not be parsed as password, and not hidden.
    if parts.fragment or "@" in parts.path or "@" in parts.query or not is_port_valid:
        raise ValueError(f"cannot be taken apart; a special character of a password is written as %XX; {_FORMS}")
    options = parse_qsl(parts.query, keep_blank_values=True)
    check_options(dict(options))
    if "sslrootcert" not in dict(options):
        return url
    absolute_options = [
        (name, str(absolute(folder, text)) if name == "sslrootcert" else text) for name, text in options
    ]
    return parts._replace(query=urlencode(absolute_options, safe="/", quote_via=quote)).geturl()


def check_options(options: Mapping[str, object]) -> None:
    """Raise ``ValueError`` for an unknown option of a PostgreSQL URL, or an invalid value of one."""
    unknown = next((name for name in options if name not in OPTIONS), None)
    if unknown is not None:
        raise ValueError(f"has an option {unknown!r} that is not known; known are {', '.join(OPTIONS)}")
    mode = options.get("sslmode", SSL_MODES[0])
    if mode not in SSL_MODES:
        raise ValueError(f"has the sslmode {mode!r}, which is not known; write one of {', '.join(SSL_MODES)}")
    if options.get("sslrootcert") == "":
        raise ValueError("has an empty sslrootcert; write the path of a file in PEM, or leave it out")


def files(url: str) -> tuple[Path, ...]:
    """Return the files of a SQLite database, whether they exist or not; none of PostgreSQL."""
    if not url.startswith(_SQLITE):
        return ()
    path = url.removeprefix(_SQLITE)
    return tuple(Path(path + suffix) for suffix in ("", "-wal", "-shm"))


def hide(url: object) -> Displayed:
    """Replace every password by ``***``."""
    parts = urlsplit(str(url))
    before, at, host = parts.netloc.rpartition("@")
    user, colon, _password = before.partition(":")
    query = _SECRET_OPTION.sub(r"\1***", parts.query)
    hidden = f"{user}{colon}{'***' if colon else ''}{at}{host}"
    return f"{parts.scheme}://{hidden}{parts.path}" + (f"?{query}" if query else "")


def read_schema(text: str) -> str:
    """Validate the name of a schema."""
    if not _SCHEMA.fullmatch(text):
        raise ValueError(
            f"{text!r} does not fit; write the name of a schema in small letters, digits and _, "
            "at most 63, that does not begin with a digit or with pg_"
        )
    return text
