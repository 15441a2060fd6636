"""Requests whose bodies are read strictly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from litestar.connection.base import empty_receive, empty_send
from litestar.exceptions import InternalServerException, ValidationException
from litestar.types import Receive, Scope, Send

from dagbook.api.middleware.request_context import NODE_PARAMETER, AnyRequest, decode_scope, requested_node
from dagbook.api.problems import add_choices, choices_of
from dagbook.errors import BadRequestError, ForbiddenError, TooLargeError
from dagbook.identifiers import shorten

Hook = Callable[[AnyRequest], Awaitable[object]]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_REASON = "without authentication, this server changes nothing for a form: send JSON, or set insecure: true"


class ApiRequest(AnyRequest):
    """A request whose body is read strictly: the framework would read 1 or "true" as true (api-behaviour 1.1).

    The slashes that were hidden from routing are restored in its path.
    """

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        if "path_params" in scope:
            decode_scope(scope)
        super().__init__(scope, receive, send)

    async def read_into(self, take: Callable[[bytes], object], most: int | None = None) -> None:
        """Give each part of the body to a function; raises TooLargeError beyond the route's limit, or ``most`` bytes.

        Unlike ``stream``, this keeps no part while it waits for the next one, which a stranger need not send.
        """
        limit = self.route_handler.resolve_request_max_body_size() or 0
        limit = limit if most is None else min(limit, most)
        size, more = 0, True
        while more:
            if max(size, self.content_length or 0) > limit:
                raise TooLargeError(limit)
            message = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException("the client has left")
            take(message["body"])
            size, more = size + len(message["body"]), message["more_body"]
            del message

    async def json(self) -> object:
        """Decode the body into the type of the handler's ``data``; ``null`` is read as ``{}``.

        Raises BadRequestError for invalid JSON and ValidationException for a wrong value.
        """
        try:
            body = await super().json()
        except RecursionError as error:
            raise BadRequestError("the request body is nested too deeply") from error
        except UnicodeDecodeError as error:
            raise BadRequestError("the request body is not valid JSON: it is not encoded in UTF-8") from error
        annotation = self.route_handler.parsed_fn_signature.parameters["data"].annotation
        try:
            return msgspec.convert({} if body is None else body, annotation)
        except msgspec.ValidationError as error:
            message, _, path = str(error).partition(" - at `$")
            key = path.strip(".`") or "data"
            text = add_choices(message, choices_of(annotation, key))
            raise ValidationException(extra=[{"key": key, "message": text}]) from error


def requiring_json(then: Hook) -> Hook:
    """Make a hook that refuses changes whose body is not JSON, whatever its Content-Type says, and then calls another.

    A page of another site can post a form to a server without authentication, where handlers without a body ignore it.
    It cannot sign one; the handler of a signed body keeps nothing of it.
    """

    async def check(request: AnyRequest) -> object:
        is_checked = request.method not in _SAFE_METHODS and request.user.via != "hook"
        if is_checked and (body := await request.body()):
            try:
                msgspec.json.decode(body)
            except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
                if body.lstrip().startswith((b"{", b"[")):
                    raise BadRequestError(f"the request body is not valid JSON: {error}") from error
                raise ForbiddenError(_FORM_REASON) from error
        return await then(request)

    return check


async def refuse_nodes(request: AnyRequest) -> None:
    """Raise BadRequestError for a request to another node: the hook of a server that has none."""
    if request.method != "OPTIONS" and (name := requested_node(request.scope)):
        raise BadRequestError(f"{NODE_PARAMETER}: there is no node named {shorten(name)}")
