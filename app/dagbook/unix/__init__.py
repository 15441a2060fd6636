"""What this process asks of the operating system: accounts, file modes, descriptors, signals, processes in /proc."""

__all__ = ["descent", "descriptors", "files", "privacy", "proc", "signals", "unix_accounts"]
