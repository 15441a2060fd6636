"""The mail server and the notifications (DAG format 2.11)."""

from __future__ import annotations

from dagbook.spec.build.field import Field
from dagbook.spec.build.object_schema import ObjectSchema
from dagbook.spec.build.scalars import boolean, loose_port, text, trimmed
from dagbook.spec.model import Mail, Smtp

SMTP = ObjectSchema(
    {
        "host": ("host", text),
        "port": ("port", loose_port),
        "username": ("username", text),
        "password": ("password", text),
    },
)


def smtp(field: Field) -> Smtp | None:
    """Read the server; None without host and port."""
    parsed = SMTP.read(field)
    server = Smtp(**parsed.values) if parsed else None
    return server if server and (server.host or server.port) else None


def mail(field: Field) -> Mail | None:
    """Read a notification; None without sender and recipients."""
    parsed = MAIL.read(field)
    found = Mail(**parsed.values) if parsed else None
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


MAIL = ObjectSchema(
    {
        "from": ("sender", trimmed),
        "to": ("to", _recipients),
        "prefix": ("prefix", trimmed),
        "attachLogs": ("attach_logs", boolean),
    },
)
