"""Rows as the repositories return them, made from the columns that are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def columns_of(row: msgspec.Struct) -> dict[str, Any]:
    """Return the columns of a row, JSON as it is read back."""
    plain = (str, int, bytes, datetime)
    return {
        name: value if isinstance(value, plain) else msgspec.json.decode(msgspec.json.encode(value))
        for name, value in msgspec.structs.asdict(row).items()
    }


def row_of(kind: type[T], columns: Mapping[str, Any]) -> T:
    """Make a row; fields without a column are None, and a status is read as its column type does."""
    values = {name: columns.get(name) for name in kind.__struct_fields__}
    if values["status"] is not None:
        values["status"] = get_type_hints(kind)["status"](values["status"])
    return kind(**values)
