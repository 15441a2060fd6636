"""Telemetry of the process: logs, metrics, spans and samples of the machine's load."""

__all__ = ["logging", "metrics", "otlp", "printable", "resources"]
