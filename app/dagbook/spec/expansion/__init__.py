"""Evaluation of texts: references, `$` expansion, JSON paths, conditions."""

__all__ = ["expand", "patterns", "scope", "shell_words", "substitution"]
