"""Runs and sub-runs, their logs, events and approvals."""

__all__ = ["approvals", "run_details", "run_logs", "runs", "search", "step_details"]
