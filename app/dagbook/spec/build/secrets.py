"""References to secret values (DAG format 2.16)."""

from __future__ import annotations

from dagbook.spec.build.field import Field
from dagbook.spec.build.object_schema import ObjectSchema, ParsedObject
from dagbook.spec.build.scalars import exact_text_map, text
from dagbook.spec.model import Secret
from dagbook.spec.problem import quoted

SECRET = ObjectSchema(
    {
        "name": ("name", text),
        "provider": ("provider", text),
        "key": ("key", text),
        "options": ("options", exact_text_map),
    },
)
_REQUIRED = ("name", "provider", "key")


def secrets(field: Field) -> tuple[Secret, ...] | None:
    """Read the list; each entry must be complete, and its name unique."""
    if not isinstance(field.value, list):
        field.expect("a list of maps with name, provider and key")
        return None
    found: dict[str, Secret] = {}
    for item in field.items():
        parsed = SECRET.read(item)
        if parsed is None or not _complete(parsed, item):
            continue
        secret = Secret(**parsed.values)
        if secret.name in found:
            parsed.fields["name"].refuse(f"the secret {quoted(secret.name)} is already defined; give it another name")
        else:
            found[secret.name] = secret
    return tuple(found.values())


def _complete(parsed: ParsedObject, item: Field) -> bool:
    for name in _REQUIRED:
        if not parsed.values.get(name) and not parsed.refused(name):
            item.refuse(f"this secret has no {name}; add one")
    return all(parsed.values.get(name) for name in _REQUIRED)
