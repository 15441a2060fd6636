"""Telemetry of the process: logs, metrics and samples of the machine's load."""
