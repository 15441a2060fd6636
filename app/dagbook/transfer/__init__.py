"""Import of a Dagu 1.x home, or of a server of its API v2, and export in the layout of such a home."""

__all__ = ["crontab", "exporting", "home", "importing", "remote", "report", "source", "target"]
