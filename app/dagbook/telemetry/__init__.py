"""Telemetry of the process: logs, metrics and samples of the machine's load."""

__all__ = ["logging", "metrics", "printable", "resources"]
