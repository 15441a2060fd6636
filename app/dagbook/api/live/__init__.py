"""The live feed: changes as server-sent events."""
