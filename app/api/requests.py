"""Requests as the contract reads them."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.exceptions import NotFoundException

DOCUMENT = "/openapi.json"


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body ``null`` says no more than ``{}`` (api-behaviour 1.1)."""

    async def json(self) -> Any:
        """Decode the body."""
        body = await super().json()
        return {} if body is None else body


def only_document(request: Request[Any, Any, Any]) -> None:
    """Keep the framework's own pages beside the API's description out of sight."""
    if not request.url.path.endswith(DOCUMENT):
        raise NotFoundException
