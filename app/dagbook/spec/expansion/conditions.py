"""Evaluation of conditions, and their messages (DAG format 3.8, 3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dagbook.spec.expansion.patterns import compile_expression, is_expression
from dagbook.spec.model import Condition

ANOTHER_UNMET = "another condition was not met"
_LONGEST_SHOWN = 1024


def matches(value: str, expected: str) -> bool:
    """Whether any line of a value equals the expected text, or matches the expression after ``re:``."""
    lines = [line.removesuffix("\r") for line in value.split("\n")]
    if len(lines) > 1 and not lines[-1]:  # an empty text has one empty line
        lines.pop()
    if not is_expression(expected):
        return expected in lines
    expression = compile_expression(expected)
    return expression is not None and any(expression.search(line) for line in lines)


def check_value(condition: Condition, value: str, shown: str | None = None) -> str:
    """Compare an evaluated condition with its expected value; return a message, empty if it is met.

    ``shown`` is the value for display, if that differs.
    """
    if matches(value, condition.expected) == condition.negate:
        return unmet_message(condition, value=value if shown is None else shown)
    return ""


def check_exit(condition: Condition, exit_code: int) -> str:
    """Check a condition that was run as a command; return a message, empty if it is met."""
    if (exit_code == 0) == condition.negate:
        return unmet_message(condition, exit_code=exit_code)
    return ""


def unmet_message(condition: Condition, *, value: str = "", exit_code: int = 0) -> str:
    if condition.expected:
        wanted = "anything but" if condition.negate else "expected"
        shown = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…"
        return f'condition not met: {wanted} "{condition.expected}", but the value is "{shown}"'
    if condition.negate:
        return "condition not met: the command succeeded, and negate asks that it fails"
    return f"condition not met: the command ended with exit status {exit_code}"


def all_messages(messages: Sequence[str]) -> tuple[str, ...]:
    """Return the message of each condition: if one is unmet, the others say so too."""
    other = ANOTHER_UNMET if any(messages) else ""
    return tuple(message or other for message in messages)


def output_matches(lines: Iterable[str], patterns: Sequence[str]) -> bool:
    """Whether a line of output contains any of the patterns; an invalid expression matches nothing."""
    texts = [pattern for pattern in patterns if not is_expression(pattern)]
    compiled = (compile_expression(pattern) for pattern in patterns if is_expression(pattern))
    expressions = [expression for expression in compiled if expression is not None]
    return any(
        any(text in line for text in texts) or any(expression.search(line) for expression in expressions)
        for line in lines
    )
