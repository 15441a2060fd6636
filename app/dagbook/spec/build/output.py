"""The output of a step: a variable, and a key among the outputs of its run (DAG format 1.30, 4)."""

from __future__ import annotations

from dagbook.spec.build.field import Field, Fields
from dagbook.spec.build.object_schema import Member, map_of, members, warn_unknown_keys
from dagbook.spec.problem import quoted
from dagbook.spec.schemas import NOT_BLANK, TEXT, accepts, any_of

# A row of these tables has one line, or its meaning on a second one.
# fmt: off
OUTPUT = members(
    Member("name", NOT_BLANK, "ROWS", "The variable.", since="1.29", kind=str),
    Member("key", {}, "rowCount",
        "The key among the outputs of the run; without one, the name in camel case.", since="1.29", kind=str),
    Member("omit", {"default": False}, True, "Leave it out of the outputs of the run.", since="1.29", kind=bool),
)
# fmt: on
_OUTPUT_FIELDS = {"name": "output", "key": "output_key", "omit": "output_omit"}


@accepts(any_of(TEXT, map_of(OUTPUT, others=True) | {"required": ["name"]}))
def output(field: Field) -> Fields | None:
    """Read the output of a step as the step fields that it sets: a name, or a map (1.30, 4)."""
    if isinstance(field.value, str):
        return {"output": _output_name(field, field.value)}
    if not isinstance(field.value, dict):
        field.expect("the name of a variable, or a map with name, key and omit")
        return None
    warn_unknown_keys(field, list(OUTPUT))
    found: Fields = {}
    for key, entry in field.entries():
        kind = OUTPUT[key].kind if key in OUTPUT else None
        if kind is not None and isinstance(entry.value, kind):
            found[_OUTPUT_FIELDS[key]] = entry.value.strip() if isinstance(entry.value, str) else entry.value
        elif kind is not None and key != "name" and entry.value is not None:
            entry.warn(f"is ignored: it must be {'a text' if kind is str else 'true or false'}")
    found["output"] = _output_name(field, found.get("output", ""))
    if not found["output"]:
        field.refuse("needs the name of the variable that gets the output; add name, a text")
        return None
    return found


def _output_name(field: Field, value: str) -> str:
    """Return the name of the variable, which may be written as ``$NAME``; warn of a reference to one."""
    name = value.strip().removeprefix("$").strip()
    if (plain := name.strip("${}")) and plain != name:
        field.warn(f"the variable is called {quoted(name)}, which no text can refer to; write {plain}")
    return name
