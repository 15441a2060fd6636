"""The DAG format as JSON Schema, generated from the tables that read it."""

__all__ = ["document"]
