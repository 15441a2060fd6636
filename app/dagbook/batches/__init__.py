"""Batches: a list of scheduled times or of runs that is made once, and worked off by any number of servers."""

__all__ = ["bulk", "feeder", "plan", "requests", "service", "slots"]
