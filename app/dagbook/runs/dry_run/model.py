"""Data model of a dry run: plain text with labels."""

from __future__ import annotations

import msgspec


class Fact(msgspec.Struct, frozen=True):
    """Labelled text of a dry run, of one or several lines."""

    label: str
    text: str


class StepPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a step or handler; ``note`` says why it would not run."""

    title: str
    facts: tuple[Fact, ...]
    note: str = ""


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """Preview of a run of one DAG."""

    title: str
    facts: tuple[Fact, ...]
    steps: tuple[StepPreview, ...]
    handlers: tuple[StepPreview, ...]
    ending: str
