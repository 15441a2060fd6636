"""What is wrong with a setting."""

from __future__ import annotations


class SettingsError(Exception):
    """A setting that cannot be used: says which one, where it was given and what to write instead."""

    def __init__(self, subject: str, origin: str, problem: str) -> None:
        super().__init__(f"{subject} ({origin}): {problem}" if origin else f"{subject}: {problem}")
        self.subject = subject
        self.origin = origin
