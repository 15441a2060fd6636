"""Handlers: a repository for reading, a use case for changing."""
