"""Requests as the contract reads them."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.connection.base import empty_receive, empty_send
from litestar.exceptions import NotFoundException, ValidationException
from litestar.types import Receive, Scope, Send

from dagbook.api.middleware.encoded_slashes import decode_scope
from dagbook.api.validation_messages import add_choices, choices_of
from dagbook.errors import BadRequestError

DOCUMENT = "/openapi.json"


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body is read strictly: the framework would take 1 or "true" for true (api-behaviour 1.1).

    Names in its path have the slashes again that were kept out of the routing.
    """

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        """Take over a request that has found its route."""
        if "path_params" in scope:
            decode_scope(scope)
        super().__init__(scope, receive, send)

    async def json(self) -> Any:
        """Decode the body into what the handler wants; ``null`` says no more than ``{}``."""
        try:
            body = await super().json()
        except RecursionError as error:
            raise BadRequestError("the request body is nested too deeply") from error
        except UnicodeDecodeError as error:
            raise BadRequestError("the request body is no valid JSON: it is not encoded in UTF-8") from error
        wanted = self.route_handler.parsed_fn_signature.parameters["data"].annotation
        try:
            return msgspec.convert({} if body is None else body, wanted)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            key = path.strip(".`") or "data"
            told = add_choices(message, choices_of(wanted, key))
            raise ValidationException(extra=[{"key": key, "message": told}]) from error


def hide_extra_docs(request: Request[Any, Any, Any]) -> None:
    """Keep the framework's own pages beside the API's description out of sight."""
    if not request.url.path.endswith(DOCUMENT):
        raise NotFoundException
