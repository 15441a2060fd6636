"""Evaluation of params, environment, texts and conditions of a run."""

__all__ = [
    "conditions",
    "environment",
    "inputs",
    "last_success",
    "param_checks",
    "placeholders",
    "schema_source",
    "secret_commands",
    "secret_values",
    "sub_run_plan",
    "vault",
]
