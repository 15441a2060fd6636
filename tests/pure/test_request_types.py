"""Types of requests that msgspec 0.22 can hold: a text with a pattern beside a list or an object ends the process."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import msgspec
from msgspec import inspect

import dagbook

_BESIDE = (inspect.ListType, inspect.DictType, inspect.StructType, inspect.VarTupleType, inspect.SetType)


def _structs(base: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for struct in base.__subclasses__():
        yield struct
        yield from _structs(struct)


def _members(struct: type[msgspec.Struct]) -> Iterator[tuple[str, inspect.UnionType]]:
    try:
        fields = [(field.name, inspect.type_info(field.type)) for field in msgspec.structs.fields(struct)]
    except (TypeError, NameError):
        return  # of types that msgspec cannot read, or that only a checker of types knows: no request is decoded as it
    for name, found in fields:
        if isinstance(found, inspect.UnionType):
            yield f"{struct.__name__}.{name}", found


def test_no_text_with_a_pattern_is_beside_a_list_or_an_object() -> None:
    for module in pkgutil.walk_packages(dagbook.__path__, "dagbook."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    unions = dict(each for struct in _structs(msgspec.Struct) for each in _members(struct))
    assert "RunsFilter.tag" in unions
    broken = [
        name
        for name, union in unions.items()
        if any(isinstance(each, inspect.StrType) and each.pattern for each in union.types)
        and any(isinstance(each, _BESIDE) for each in union.types)
    ]
    assert broken == []
