"""Expected texts, and the conditions that use them (DAG format 3.8, 3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dagbook.spec.expressions import Expression, ExpressionError, find_lines, line_expression
from dagbook.spec.model import Condition
from dagbook.spec.problem import quoted

PREFIX = "re:"
UNMET = "condition not met: "
ANOTHER_UNMET = "another condition was not met"
_LONGEST_SHOWN = 1024


def is_expression(text: str) -> bool:
    return text.startswith(PREFIX)


def compile_expression(text: str) -> Expression | None:
    """Compile the expression after ``re:``; None if it is invalid."""
    try:
        return line_expression(text.removeprefix(PREFIX))
    except ExpressionError:
        return None


def matches(value: str, expected: str) -> bool:
    """Whether any line of a value equals the expected text, or matches the expression after ``re:``.

    Raises ExpressionError, with a complete sentence, for an expression that is too large for the value. This may take
    seconds for a large value and a complicated expression; the GIL is not held meanwhile.
    """
    value = value or "\n"  # an empty text has one empty line
    if not is_expression(expected):
        # A search, because millions of lines would take a second.
        lines = "\n" + value.removesuffix("\n") + "\n"
        endings = ("\r\n",) if expected.endswith("\r") else ("\n", "\r\n")
        return "\n" not in expected and any(f"\n{expected}{ending}" in lines for ending in endings)
    expression = compile_expression(expected)
    if expression is None:
        return False
    try:
        expression.check_work(len(value))
        return bool(find_lines(expression, value, most=1))
    except ExpressionError as error:
        raise ExpressionError(f"the expression {quoted(expected)} {error}") from None


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
        return f'{UNMET}{wanted} "{condition.expected}", but the value is "{shown}"'
    if condition.negate:
        return f"{UNMET}the command succeeded, and negate asks that it fails"
    return f"{UNMET}the command ended with exit status {exit_code}"


def all_messages(messages: Sequence[str]) -> tuple[str, ...]:
    """Return the message of each condition: if one is unmet, the others say so too."""
    other = ANOTHER_UNMET if any(messages) else ""
    return tuple(message or other for message in messages)


def output_matches(texts: Iterable[str], wanted: Sequence[str]) -> bool:
    """Whether a line in texts of complete lines contains any of these patterns; an invalid expression matches nothing.

    Raises ExpressionError for an expression that is too large for a line.
    """
    literals = [pattern for pattern in wanted if not is_expression(pattern) and "\n" not in pattern]
    compiled = [compile_expression(pattern) for pattern in wanted if is_expression(pattern)]
    valid = [expression for expression in compiled if expression is not None]
    return any(
        any(literal in text for literal in literals) or any(find_lines(each, text, most=1) for each in valid)
        for text in texts
    )
