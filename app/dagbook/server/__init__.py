"""The HTTP server below the application: uvicorn, with limits of its connections and short responses in one write."""

__all__ = ["connections", "http_server", "own_user", "scope", "transport"]
