"""Execution of one run."""

__all__ = ["gates", "preparation", "runner", "runner_deps", "runner_factory", "shared_resources", "sub_runs"]
