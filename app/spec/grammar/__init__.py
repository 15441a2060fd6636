"""The DAG format as JSON Schema, made from the tables that read it."""
