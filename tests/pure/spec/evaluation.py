"""Drives evaluations in tests: commands are answered from a table."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TypeVar

from dagbook.spec.problem import ExpansionError

T = TypeVar("T")


def evaluated(evaluation: Generator[str, str, T], answers: Mapping[str, str] | None = None) -> T:
    """Run to the end; a command without an answer fails."""
    answers = answers or {}

    def answer(command: str) -> str:
        if command not in answers:
            raise ExpansionError(f"{command} failed")
        return answers[command]

    return driven(evaluation, answer)


def driven(evaluation: Generator[str, str, T], answer: Callable[[str], str]) -> T:
    """Run to the end, each command answered by a function, whose failure is thrown in."""
    try:
        command = next(evaluation)
        while True:
            try:
                output = answer(command)
            except ExpansionError as error:
                command = evaluation.throw(error)
            else:
                command = evaluation.send(output)
    except StopIteration as end:
        result: T = end.value
        return result
