"""YAML text into nodes, values and documents."""

__all__ = ["definition_cache", "load", "rendering", "scalars", "yaml_reader"]
