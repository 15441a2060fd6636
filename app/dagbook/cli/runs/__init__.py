"""Commands of runs: started, listed, followed, queued, stopped and decided about."""

__all__ = ["logs", "open", "show", "why"]
