"""Drives evaluations in tests: commands are answered from a table, jq programs run in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from dagbook.executors.jq import query_program
from dagbook.spec.expansion.requests import Command, Evaluation, JqQuery, Request
from dagbook.spec.problem import ExpansionError

T = TypeVar("T")


def evaluated(evaluation: Evaluation[T], answers: Mapping[str, str] | None = None) -> T:
    """Run to the end; a command without an answer fails."""
    answers = answers or {}

    def answer(command: str) -> str:
        if command not in answers:
            raise ExpansionError(f"{command} failed")
        return answers[command]

    return driven(evaluation, answer)


def driven(evaluation: Evaluation[T], run: Callable[[str], str]) -> T:
    """Run to the end, each command answered by a function, whose failure is thrown in."""
    try:
        request = next(evaluation)
        while True:
            try:
                answer = _answer(request, run)
            except ExpansionError as error:
                request = evaluation.throw(error)
            else:
                request = evaluation.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result


def _answer(request: Request, run: Callable[[str], str]) -> str | None:
    match request:
        case Command(text):
            return run(text)
        case JqQuery(text, program):
            try:
                return query_program._first_result(text, program)
            except (ValueError, RecursionError):
                return None
    return None
