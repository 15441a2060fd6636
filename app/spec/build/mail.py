"""The mail server and the notifications (DAG format 2.11)."""

from __future__ import annotations

from app.spec.build.field import Field
from app.spec.build.scalars import boolean, loose_port, text, trimmed
from app.spec.build.shape import Shape
from app.spec.model import Mail, Smtp

SMTP = Shape(
    {
        "host": ("host", text),
        "port": ("port", loose_port),
        "username": ("username", text),
        "password": ("password", text),
    },
)


def smtp(field: Field) -> Smtp | None:
    """Read the server; without host and port there is none."""
    said = SMTP.read(field)
    server = Smtp(**said.fields) if said else None
    return server if server and (server.host or server.port) else None


def mail(field: Field) -> Mail | None:
    """Read a notification; without sender and recipients there is none."""
    said = MAIL.read(field)
    found = Mail(**said.fields) if said else None
    return found if found and (found.sender or found.to) else None


def _recipients(field: Field) -> tuple[str, ...] | None:
    match field.value:
        case str():
            entries = [field.value]
        case list():
            entries = [item.value for item in field.items() if isinstance(item.value, str)]
        case _:
            field.expect("a text or a list of texts")
            return None
    return tuple(entry.strip() for entry in entries if entry.strip())


MAIL = Shape(
    {
        "from": ("sender", trimmed),
        "to": ("to", _recipients),
        "prefix": ("prefix", trimmed),
        "attachLogs": ("attach_logs", boolean),
    },
)
