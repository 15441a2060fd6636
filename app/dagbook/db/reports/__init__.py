"""Ready queries of the report views, and the execution of any query of them, read-only and bounded."""

__all__ = ["query"]
