"""Commands of definitions: files checked and rewritten, stored DAGs, and their sources."""

__all__ = ["crontab", "files", "params"]
