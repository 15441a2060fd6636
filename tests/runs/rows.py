"""Rows as the repositories return them, made from the columns that are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


def row_of(kind: type[T], columns: Mapping[str, Any]) -> T:
    """Make a row; fields without a column are None."""
    return kind(**{name: columns.get(name) for name in kind.__struct_fields__})
