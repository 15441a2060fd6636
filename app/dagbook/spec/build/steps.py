"""The steps of a DAG in all their notations, with names and links (DAG format 3.1, 3.2 and 3.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from dagbook.spec.build.field import Field, describe
from dagbook.spec.build.hints import for_list
from dagbook.spec.build.step import StepDraft, build_step, name_prefix, read_step
from dagbook.spec.build.types import Inherited
from dagbook.spec.check import check_steps
from dagbook.spec.model import Step
from dagbook.spec.reading.yaml_reader import YamlNode

MAX_STEPS = 5_000
MAX_LINKS = 250_000


class Item(msgspec.Struct):
    """A step with the number of its item, and the steps of the item before."""

    draft: StepDraft
    number: int
    before: tuple[StepDraft, ...] = ()


def read_steps(field: Field, inherited: Inherited, *, chain: bool) -> tuple[Step, ...]:
    """Read a list of steps or a map of them by name; a chain links each to the item before it.

    The steps get their names and are checked as a set.
    """
    if not _is_countable(field):
        return ()
    match field.value:
        case list():
            items = list(_read_list(field, inherited))
        case dict():
            items = list(_read_map(field, inherited))
        case _:
            field.expect("a list or a map of steps", for_list(field.value))
            items = []
    # Two large groups in a chain have as many links as the product of their sizes.
    links = sum(len(item.before) for item in items)
    if chain and links > MAX_LINKS:
        field.refuse(f"groups in a chain may have {MAX_LINKS:,} links, these have {links:,}; write type: graph")
        return ()
    _generate_names(items)
    steps = [build_step(item.draft, depends=_depends(item, chain=chain)) for item in items]
    return check_steps(steps, [item.draft for item in items])


def _is_countable(field: Field) -> bool:
    value = field.value
    nodes = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    field.report.steps += sum(len(node.value) if isinstance(node.value, list) else 1 for node in nodes)
    if field.report.steps <= MAX_STEPS:
        return True
    field.refuse(f"a definition may hold {MAX_STEPS:,} steps, this one has {field.report.steps:,}")
    return False


def _read_list(field: Field, inherited: Inherited) -> Iterator[Item]:
    before: tuple[StepDraft, ...] = ()
    for number, item in enumerate(field.items(), 1):
        members = list(item.items()) if isinstance(item.value, list) else [item]
        read = [_read_item(member, inherited) for member in members]
        drafts = tuple(draft for draft in read if draft)
        for draft in drafts:
            yield Item(draft, number, before)
        before = drafts


def _read_item(item: Field, inherited: Inherited) -> StepDraft | None:
    match item.value:
        case str():
            node = YamlNode({"command": item.node}, *item.mark, {"command": item.mark})
            return read_step(Field(node, item.path, item.report), inherited)
        case dict():
            return read_step(item, inherited)
        case list():
            item.refuse("steps can be grouped in one list, but not in a list within a list")
        case _:
            item.refuse(f"a step must be a text, a map or a list of these, not {describe(item.value)}")
    return None


def _read_map(field: Field, inherited: Inherited) -> Iterator[Item]:
    for number, (name, entry) in enumerate(field.entries(), 1):
        if entry.value is None:
            entry.node = YamlNode({}, *entry.mark)
        draft = read_step(entry, inherited)
        if draft:
            draft.fields["name"] = name.strip()
            yield Item(draft, number)


def _generate_names(items: Iterable[Item]) -> None:
    """Name the unnamed steps: prefix and item number, counted on while another generated name is the same."""
    following: dict[str, dict[int, int]] = {}  # by prefix: from a taken number to where to look next
    for item in items:
        fields = item.draft.fields
        if fields.get("name"):
            continue
        prefix = name_prefix(fields)
        taken = following.setdefault(prefix, {})
        number = item.number
        passed: list[int] = []
        while number in taken:
            passed.append(number)
            number = taken[number]
        taken.update(dict.fromkeys([*passed, number], number + 1))
        fields["name"] = f"{prefix}_{number}"


def _depends(item: Item, *, chain: bool) -> tuple[str, ...]:
    """Return explicit dependencies, then the links of the chain; an empty list removes these (3.7)."""
    fields = item.draft.fields
    explicit: tuple[str, ...] = fields.get("depends", ())
    if not chain or ("depends" in fields and not explicit):
        return explicit
    listed = set(explicit)
    links = (draft.fields for draft in item.before)
    return explicit + tuple(link["name"] for link in links if listed.isdisjoint((link["name"], link.get("id"))))
