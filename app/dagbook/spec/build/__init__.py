"""Building the model from the nodes of a document: tables of key -> reader function."""

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
    "policies",
    "root",
    "scalars",
    "step",
    "types",
]
