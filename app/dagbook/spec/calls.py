"""Which stored DAGs a definition calls by name, and what a call says if there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dagbook.spec.model import Dag, Definition, Step
from dagbook.spec.problem import shorten

_COMPUTED = re.compile(r"[$`]")


class NamedCall(NamedTuple):
    """The path of a call in its document, the DAG of that document, and the name that it calls."""

    path: str
    dag: str
    name: str


def is_computed(name: str) -> bool:
    """Whether the name of a called DAG is only known when its step runs."""
    return _COMPUTED.search(name) is not None


def find_named(definition: Definition) -> Iterator[NamedCall]:
    """Find the calls of stored DAGs in all documents, steps and handlers; not those of files and computed names."""
    for dag in (definition.dag, *definition.local_dags):
        for path, step in _steps(dag):
            name = step.call.name.strip() if step.call else ""
            if name and "/" not in name and not is_computed(name) and definition.called(name) is None:
                yield NamedCall(path, "" if dag is definition.dag else dag.name, name)


def _steps(dag: Dag) -> Iterator[tuple[str, Step]]:
    for number, step in enumerate(dag.steps):
        yield f"steps[{number}].call", step
    for handler in dag.handlers.__struct_fields__:
        if (step := getattr(dag.handlers, handler)) is not None:
            yield f"handlerOn.{handler}.call", step


def no_dag(name: str) -> str:
    """Return what a call says for a DAG that is missing, or that the rights of its run do not include."""
    if "/" in name:
        return f"there is no DAG {shorten(name)!r} to call"
    return (
        f"there is no DAG {shorten(name)!r} to call: neither a document of the same file, nor a file beside it, nor a "
        "stored DAG has this name"
    )
