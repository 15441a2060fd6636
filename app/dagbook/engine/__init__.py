"""What happens next: pure functions over frozen state; time is an argument."""

__all__ = ["action", "admission", "advance", "event", "history", "plan", "rules", "state", "status"]
