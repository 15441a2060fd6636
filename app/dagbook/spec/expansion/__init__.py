"""Evaluation of texts: references, `$` expansion, JSON paths, conditions."""

__all__ = [
    "conditions",
    "expand",
    "patterns",
    "requests",
    "scope",
    "shell_commands",
    "shell_expansion",
    "shell_quotes",
    "shell_words",
    "substitution",
]
