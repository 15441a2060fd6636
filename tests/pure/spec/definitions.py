"""Short ways to read a definition in a test."""

from __future__ import annotations

from dagbook.spec.model import Dag, Step
from dagbook.spec.problem import Problem
from dagbook.spec.reading.load import load


def dag_of(text: str) -> Dag:
    """Read a text in which nothing may be wrong."""
    return load(text).require().dag


def step_of(text: str) -> Step:
    """Read the one step that a flow mapping describes."""
    (step,) = dag_of(f"steps: [{text}]").steps
    return step


def problems_of(text: str) -> tuple[Problem, ...]:
    return load(text).problems


def problem_of(text: str) -> Problem:
    """Read a text in which exactly one thing is wrong."""
    (problem,) = problems_of(text)
    return problem
