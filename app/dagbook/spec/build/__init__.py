"""Building the model from the nodes of a document: a row for each key, with its reader."""

__all__ = [
    "calls",
    "chat",
    "commands",
    "dag_fields",
    "env_params",
    "field",
    "hints",
    "hosts",
    "object_schema",
    "output",
    "policies",
    "root",
    "scalars",
    "steps",
    "types",
]
