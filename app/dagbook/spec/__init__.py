"""The DAG format: YAML text in, frozen structs out. No input or output."""
