"""The application whose description is looked at."""

from tests.app.conftest import client, server

__all__ = ["client", "server"]
