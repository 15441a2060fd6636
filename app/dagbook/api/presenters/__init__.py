"""Rows and definitions into response structs. Pure."""
