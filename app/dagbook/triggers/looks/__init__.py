"""Looks: at directories, at servers of SFTP and at addresses of HTTP, for what is new there or has changed."""

__all__ = ["looker", "loop", "options", "outcome"]
