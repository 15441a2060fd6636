"""The language: YAML text in, frozen structs out. No input or output happens here."""
