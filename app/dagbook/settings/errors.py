from __future__ import annotations


class SettingsError(Exception):
    """An invalid setting: its name, where it was given and the fix."""

    def __init__(self, subject: str, origin: str, problem: str) -> None:
        super().__init__(f"{subject} ({origin}): {problem}" if origin else f"{subject}: {problem}")
        self.subject = subject
        self.origin = origin
