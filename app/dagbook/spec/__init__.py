"""The DAG format: YAML text in, frozen structs out. No input or output."""

__all__ = [
    "calls",
    "config_keys",
    "conversion",
    "expansion",
    "expressions",
    "folder",
    "grammar",
    "model",
    "params",
    "paths",
    "problem",
    "reading",
    "shell_references",
    "time",
    "tracing",
]
