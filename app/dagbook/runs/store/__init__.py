"""Rows of runs: new runs and attempts, admission checks, group commits, loading."""
