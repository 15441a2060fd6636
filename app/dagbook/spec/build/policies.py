"""Tolerance, retries, repetition and conditions of a step (DAG format 3.8 to 3.11)."""

from __future__ import annotations

from collections.abc import Iterator

from dagbook.spec.build.field import Field, Fields, describe
from dagbook.spec.build.hints import join_words
from dagbook.spec.build.object_schema import (
    Key,
    ObjectSchema,
    ignored,
    map_of,
    refuse_unknown_key,
    warn_unknown_keys,
)
from dagbook.spec.build.scalars import (
    backoff,
    boolean,
    exit_codes,
    integers,
    natural,
    repeat_word,
    text,
    text_or_texts,
    whole_or_text,
)
from dagbook.spec.model import Condition, ContinueOn, Repeat, RepeatMode, Retry
from dagbook.spec.schemas import FLAG, accepts, any_of, one_word, reference

_WORDS = {"failed": ContinueOn(failure=True), "skipped": ContinueOn(skipped=True)}
_OFF = FLAG | {"default": False}

# A row of these tables has one line, or its meaning on a second one.
# fmt: off
CONTINUE_ON = ObjectSchema(
    "continueOn",
    Key("failure", boolean, True, "Go on when the step failed.", values=_OFF),
    Key("failed", boolean, True, "Another spelling of failure.", name="failure", since="1.30", values=_OFF),
    Key("skipped", boolean, True, "Go on when the step was skipped.", values=_OFF),
    Key("exitCode", exit_codes, [1, 3], "Go on after these exit codes.", name="exit_codes"),
    Key("output", text_or_texts, ["no data", "re:^WARN"],
        "Go on when its stdout holds one of these texts, or matches one after re:."),
    Key("markSuccess", boolean, True, "Count a tolerated failure as success.", values=_OFF),
)
# fmt: on
_CONTINUE_ON = any_of(
    one_word(["failed", "skipped"], case=False),
    map_of(CONTINUE_ON.rows, others=True),
)
# A row of these tables has one line, or its meaning on a second one.
# fmt: off
RETRY = ObjectSchema(
    "retryPolicy",
    Key("limit", whole_or_text, 3, "How many times at most, after the first."),
    Key("intervalSec", whole_or_text, 10, "Seconds to wait before each time.", name="interval_seconds"),
    Key("exitCode", integers, [1, 75],
        "Only after these exit codes; after any but 0 when there are none.", name="exit_codes"),
    Key("backoff", backoff, 2, "What the wait is multiplied by each time: above 1, or true for 2."),
    Key("maxIntervalSec", natural, 300,
        "The longest wait in seconds that backoff may lead to.", name="max_interval_seconds"),
    model=Retry,
    required=("limit", "intervalSec"),
)
REPEAT = ObjectSchema(
    "repeatPolicy",
    Key("repeat", repeat_word, "until",
        "while the condition holds, until it holds; true: as long as the step succeeds."),
    Key("condition", text, "test -f /data/ready", "What is checked after each time."),
    Key("expected", text, "ready", "The expected value: the exact text, or re: and a regular expression."),
    Key("exitCode", integers, [1], "Exit codes that are checked when there is no condition.", name="exit_codes"),
    Key("intervalSec", natural, 30, "Seconds to wait between times.", name="interval_seconds"),
    Key("limit", natural, 20, "How many times at most, the first included; 0 for any number."),
    # Only checked for a policy that repeats, so it is read after that is known.
    Key("backoff", ignored, 1.5, "What the wait is multiplied by each time: above 1, or true for 2.", values={}),
    Key("maxIntervalSec", natural, 300,
        "The longest wait in seconds that backoff may lead to.", name="max_interval_seconds"),
    model=Repeat,
)
CONDITION = ObjectSchema(
    "condition",
    Key("condition", text, "${ENV}", "A command that has to succeed; with expected, a text to compare."),
    Key("command", text, "test -f /data/ready", "The same as condition."),
    Key("expected", text, "re:^prod", "The expected value: the exact text of a line, or re: and a regular expression."),
    Key("negate", boolean, True, "Turn the answer around."),
    defaults={"negate": False},
)
# fmt: on


@accepts(_CONTINUE_ON)
def continue_on(field: Field) -> ContinueOn | None:
    """Read what dependents tolerate: a word, or a map whose unknown keys are ignored."""
    match field.value:
        case str():
            found = _WORDS.get(field.value.strip().lower())
            if found is None:
                field.refuse(f"must be failed or skipped, not {describe(field.value)}")
            return found
        case dict():
            warn_unknown_keys(field, CONTINUE_ON.keys)
            rows = CONTINUE_ON.rows
            read = [(rows[key].field, rows[key].read(entry)) for key, entry in field.entries() if key in rows]
            values = [(name, value) for name, value in read if value is not None]
            either = any(value for name, value in values if name == "failure")  # it has two spellings
            fields: Fields = dict(values)
            return ContinueOn(**fields | {"failure": either})
        case _:
            field.expect(f"failed, skipped or a map with {join_words(CONTINUE_ON.keys)}")
            return None


@accepts(reference("retryPolicy"))
def retry(field: Field) -> Retry | None:
    """Read a retry policy, in which limit and interval are required."""
    parsed = RETRY.read(field)
    if parsed is None:
        return None
    for key in RETRY.required:
        name = RETRY.fields[key]
        if name not in parsed.fields and not parsed.refused(name):
            field.refuse(f"a retry policy needs {key}; add it")
    complete = "limit" in parsed.values and "interval_seconds" in parsed.values
    return Retry(**parsed.values) if complete else None


@accepts(reference("repeatPolicy"))
def repeat(field: Field) -> Repeat | None:
    """Read a repeat policy; None if it asks for no repetition."""
    parsed = REPEAT.read(field)
    if parsed is None or parsed.refused("repeat"):
        return None
    fields = parsed.values
    asked = fields.pop("repeat", False)
    condition, expected = fields.pop("condition", ""), fields.pop("expected", "")
    exit_codes = fields.get("exit_codes")
    if isinstance(asked, str) and not condition and not exit_codes:
        if not parsed.refused("condition", "exit_codes"):
            parsed.fields["repeat"].refuse(f"{asked} needs a condition or an exitCode; add one")
        return None
    mode = _mode(asked, condition, expected, exit_codes)
    if mode is None:
        return None
    fields["condition"] = Condition(condition=condition, expected=expected) if condition else None
    given = parsed.fields.get("backoff")
    fields["backoff"] = (given and backoff(given)) or 0.0
    return Repeat(mode=mode, **fields)


def _mode(asked: bool | RepeatMode, condition: str, expected: str, exit_codes: object) -> RepeatMode | None:
    if not isinstance(asked, bool):
        return asked
    if condition and expected and not asked:
        return "until"
    return "while" if asked or condition or exit_codes else None


@accepts(reference("preconditions"))
def preconditions(field: Field) -> tuple[Condition, ...]:
    """Read one condition, or a list of them in which lists may be nested."""
    return tuple(_flatten(field))


def _flatten(field: Field) -> Iterator[Condition]:
    match field.value:
        case None:
            return
        case str():
            yield Condition(condition=field.value)
        case list():
            for item in field.items():
                yield from _flatten(item)
        case dict():
            yield from _map_condition(field)
        case _:
            field.expect("a text, a map or a list of these")


def _map_condition(field: Field) -> Iterator[Condition]:
    found: Fields = {}
    sound = True
    for key, entry in field.entries():
        known = CONDITION.rows.get(key.lower())
        if known is None:
            sound = refuse_unknown_key(field, key, CONDITION.keys) not in ("condition", "command") and sound
        else:
            found[key.lower()] = value = known.read(entry)
            sound = sound and value is not None
    asked = found.get("condition") or found.get("command")
    if not asked and sound:
        field.refuse("this precondition has no condition; add one")
    if asked and sound:
        yield Condition(
            condition=asked,
            expected=found.get("expected", ""),
            negate=found.get("negate", False),
        )
