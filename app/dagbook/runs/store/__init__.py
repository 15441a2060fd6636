"""Rows of runs: new runs and attempts, admission checks, group commits, loading."""

__all__ = ["finishing", "new_run", "queue_head", "recorder", "row_mapping", "run_loading"]
