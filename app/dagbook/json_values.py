"""The types of values that are read from JSON or YAML, and written to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

# msgspec and Litestar resolve annotations when the program runs, and accept no alias that names itself.
if TYPE_CHECKING:
    Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None
else:
    Json = Any
JsonObject: TypeAlias = Mapping[str, Json]
