"""The web UI, a client of the API: static files and the HTML document that loads them."""

__all__ = ["files", "frame", "pages"]
