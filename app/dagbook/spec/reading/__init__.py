"""YAML text into nodes, values and documents."""
