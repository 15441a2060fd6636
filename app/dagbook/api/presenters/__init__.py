"""Converters from rows and definitions to response structs. Pure."""
