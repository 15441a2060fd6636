"""The live feed: changes as server-sent events."""

__all__ = ["event_stream", "feed", "sse", "subscription"]
