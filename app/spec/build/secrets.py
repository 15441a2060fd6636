"""References to secret values (DAG format 2.16)."""

from __future__ import annotations

from app.spec.build.field import Field
from app.spec.build.scalars import exact_text_map, text
from app.spec.build.shape import Said, Shape
from app.spec.model import Secret
from app.spec.problem import show

SECRET = Shape(
    {
        "name": ("name", text),
        "provider": ("provider", text),
        "key": ("key", text),
        "options": ("options", exact_text_map),
    },
)
_REQUIRED = ("name", "provider", "key")


def secrets(field: Field) -> tuple[Secret, ...] | None:
    """Read the list; each entry must be complete, and its name its own."""
    if not isinstance(field.value, list):
        field.expect("a list of maps with name, provider and key")
        return None
    found: dict[str, Secret] = {}
    for item in field.items():
        said = SECRET.read(item)
        if said is None or not _complete(said, item):
            continue
        secret = Secret(**said.fields)
        if secret.name in found:
            said.places["name"].refuse(f"the secret {show(secret.name)} is already defined; give it another name")
        else:
            found[secret.name] = secret
    return tuple(found.values())


def _complete(said: Said, item: Field) -> bool:
    for name in _REQUIRED:
        if not said.fields.get(name) and not said.refused(name):
            item.refuse(f"this secret has no {name}; add one")
    return all(said.fields.get(name) for name in _REQUIRED)
