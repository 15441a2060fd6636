"""What is told of a run that does not happen: plain text under labels."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """One thing that is told; a text of several lines keeps them."""

    label: str
    text: str


class StepPreview(msgspec.Struct, frozen=True, kw_only=True):
    """A step or handler; ``note`` says what becomes of it when it is not simply run."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """One DAG and what a run of it would do."""

    title: str
    facts: tuple[Fact, ...]
    steps: tuple[StepPreview, ...]
    handlers: tuple[StepPreview, ...]
    ending: str
