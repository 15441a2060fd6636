"""Validation of parameters against a JSON Schema, and its defaults (DAG format 2.9).

Schemas and values are hostile data: their patterns are RE2's, their number of values and of checks is limited.
jsonschema-rs, whose patterns take linear time too, does not limit the checks: see docs/explanation/dependencies.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from jsonschema import (
    Draft202012Validator,
    FormatChecker,
    ValidationError,
    _keywords,
    _legacy_keywords,
    _utils,
    validators,
)
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from dagbook.json_values import Json, JsonObject
from dagbook.spec.expressions import Expression, ExpressionError
from dagbook.spec.model import Pair
from dagbook.spec.problem import Problem, SpecError, quoted
from dagbook.spec.reading.rendering import compact, parse_json, render_json, sort_members

_Schema = dict[str, Json]
_Values = dict[str, Json]
_Errors = Iterable[ValidationError] | None  # what the check of a keyword returns
_PATH = "params"
_MAX_VALUES = 10_000  # of a schema, two seconds of a core to check that it is one
_MAX_COST = 200_000  # checks of values of a usual size, three seconds of a core
_MAX_PROBLEMS = 100
_LONGEST_MESSAGE = 1000


class _TooExpensiveError(Exception):
    pass


class _Budget:
    """What one validation may still cost; an error message may contain the whole value that was checked."""

    def __init__(self, size: int) -> None:
        self._left = _MAX_COST
        self._size = size  # of all values as text

    def check(self, expected: object, value: object) -> None:
        size = len(value) if isinstance(value, str) else self._size if isinstance(value, list | dict) else 0
        members = len(expected) if isinstance(expected, list | dict) else 0
        self.spend(1 + size // 1000 + members // 10)

    def spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise _TooExpensiveError


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


def _pattern_error(pattern: object, error: ExpressionError) -> SpecError:
    return SpecError([Problem(_PATH, f"the schema's pattern {quoted(str(pattern))} {error}")])


class _Re2:
    """The one function of ``re`` that the library uses, with RE2 and a budget for schemas of users."""

    @staticmethod
    def search(pattern: str, text: str) -> object:
        budget = _budget.get()
        if budget is None:  # another use of the library
            return re.search(pattern, text)
        try:
            expression = Expression(pattern)
            budget.spend(1 + len(text) * expression.size // 10_000)
            return expression.matches(text) or None
        except ExpressionError as error:
            raise _pattern_error(pattern, error) from None


# The library has no other way to choose the engine, and nearly every keyword about properties uses it.
for _module in (_keywords, _legacy_keywords, _utils):
    _module.re = _Re2  # type: ignore[attr-defined]  # not exported


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("regex", raises=ExpressionError)
def _is_expression(value: object) -> bool:
    return not isinstance(value, str) or bool(Expression(value))


def _counted(check: Callable[..., _Errors]) -> Callable[..., _Errors]:
    def count(validator: object, expected: object, value: object, schema: object) -> _Errors:
        if budget := _budget.get():
            budget.check(expected, value)
        return check(validator, expected, value, schema)

    return count


def _counted_type(name: str) -> Callable[..., bool]:
    known = Draft202012Validator.TYPE_CHECKER

    def count(_: object, value: object) -> bool:
        if budget := _budget.get():
            budget.spend(1)
        return bool(known.is_type(value, name))

    return count


def _unique_items(_: object, expected: object, value: object, __: object) -> Iterator[ValidationError]:
    """Compare texts: the library compares every pair of items."""
    if (
        expected
        and isinstance(value, list)
        and len({sort_members(compact(item).encode()) for item in value}) < len(value)
    ):
        yield ValidationError("the list has equal items")


_Validator: type[Draft202012Validator] = validators.extend(  # type: ignore[no-untyped-call]  # it has no types
    Draft202012Validator,
    {
        name: _counted(check)
        for name, check in (Draft202012Validator.VALIDATORS | {"uniqueItems": _unique_items}).items()
    },
    # Keywords about unevaluated members follow references themselves, and ask for these types at each.
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {name: _counted_type(name) for name in ("boolean", "object")}
    ),
)


def validate(pairs: Iterable[Pair], schema: JsonObject) -> tuple[Pair, ...]:
    """Validate parameters against a schema of draft 2020-12 and append its defaults.

    May take some seconds for a hostile schema. Raises SpecError with the invalid parameters, at most a hundred of
    them. References to other documents are not followed, and other dialects (``$schema``) are read as this one.
    """
    texts = {pair.name: pair.value for pair in pairs}
    try:
        with _limited(sum(map(len, texts.values()))):
            filled, problems = _check(texts, _read(schema))
    except Unresolvable as error:
        raise SpecError([Problem(_PATH, f"the schema refers to {error.ref!r}, which it does not hold")]) from error
    except RecursionError as error:
        raise SpecError([Problem(_PATH, "the schema refers to itself without end, or is nested too deeply")]) from error
    except OverflowError as error:  # of the division by a fraction
        raise SpecError([Problem(_PATH, "a number is too large for the schema's multipleOf")]) from error
    except _TooExpensiveError:
        reason = "checking the schema takes too long; give it fewer alternatives, references and patterns"
        raise SpecError([Problem(_PATH, reason)]) from None
    if problems:
        raise SpecError(problems)
    return tuple(Pair(name, render_json(value)) for name, value in filled.items())


@contextmanager
def _limited(size: int) -> Iterator[None]:
    token = _budget.set(_Budget(size))
    try:
        yield
    finally:
        _budget.reset(token)


def _check(texts: dict[str, str], schema: _Schema) -> tuple[_Values, list[Problem]]:
    validator = _validator(schema)
    values = {name: _typed(validator, name, text) for name, text in texts.items()}
    filled = _with_defaults(values, schema)
    problems: list[Problem] = []
    for error in validator.iter_errors(filled):
        path = ".".join((_PATH, *map(str, error.absolute_path)))
        problems.append(Problem(path, f"does not match the schema: {_shorten(error.message)}"))
        if len(problems) == _MAX_PROBLEMS:
            break
    return filled, problems


def _shorten(message: str) -> str:
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[: _LONGEST_MESSAGE - 1]}…"


def _read(schema: JsonObject) -> _Schema:
    """Copy a schema without the names of dialects, which would choose validators without limits."""
    left = _MAX_VALUES - 1  # the schema is one

    def copy(value: Json) -> Json:
        nonlocal left
        left -= 1
        if left < 0:
            raise SpecError([Problem(_PATH, f"the schema has more than {_MAX_VALUES} values")])
        if isinstance(value, list):
            return [copy(item) for item in value]
        return copy_members(value) if isinstance(value, dict) else value

    def copy_members(members: JsonObject) -> _Schema:
        return {key: copy(item) for key, item in members.items() if key != "$schema" or not isinstance(item, str)}

    return copy_members(schema)


def _validator(schema: _Schema) -> Draft202012Validator:
    try:
        Draft202012Validator.check_schema(schema, format_checker=_FORMATS)
    except SchemaError as error:
        if isinstance(error.cause, ExpressionError):
            raise _pattern_error(error.instance, error.cause) from None
        raise SpecError([Problem(_PATH, f"the schema itself is not valid: {_shorten(error.message)}")]) from error
    # An empty registry: the library would otherwise fetch what a reference names.
    validator = _Validator(schema, registry=Registry())
    for name, member in _properties(schema):
        if "default" in member and not validator.evolve(schema=member).is_valid(member["default"]):
            raise SpecError([Problem(f"{_PATH}.{name}", "the default that the schema gives does not match the schema")])
    return validator


def _properties(schema: object) -> list[tuple[str, _Schema]]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    members = properties.items() if isinstance(properties, dict) else ()
    return [(name, member) for name, member in members if isinstance(member, dict)]


def _typed(validator: Draft202012Validator, name: str, text: str) -> Json:
    """Parse a text as JSON if it is; a text that only validates as text (a postal code, say) stays one."""
    try:
        value = parse_json(text)
    except ValueError:
        return text
    member = dict(_properties(validator.schema)).get(name)
    if member is None:
        return value
    fits = validator.evolve(schema=member).is_valid
    return text if fits(text) and not fits(value) else value


def _with_defaults(values: _Values, schema: _Schema) -> _Values:
    filled = dict(values)
    for name, member in _properties(schema):
        if name not in filled and "default" in member:
            filled[name] = member["default"]
        if isinstance(value := filled.get(name), dict):
            filled[name] = _with_defaults(value, member)
    return filled
