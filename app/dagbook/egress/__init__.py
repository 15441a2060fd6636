"""The destinations that the server's own HTTP requests may not reach, and the client that does not reach them."""

__all__ = ["client", "rules"]
