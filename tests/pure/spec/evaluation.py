"""Drives evaluations in tests: commands are answered from a table."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TypeVar

from app.spec.problem import ExpansionError

T = TypeVar("T")


def evaluated(evaluation: Generator[str, str, T], answers: Mapping[str, str] | None = None) -> T:
    """Run to the end; a command without an answer fails."""
    answers = answers or {}
    try:
        command = next(evaluation)
        while True:
            if command in answers:
                command = evaluation.send(answers[command])
            else:
                command = evaluation.throw(ExpansionError(f"{command} failed"))
    except StopIteration as end:
        result: T = end.value
        return result
