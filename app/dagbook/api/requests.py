"""Request class with strict body parsing, the OPTIONS handler of all paths, and downloads of outputs in blocks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Controller, HttpMethod, Litestar, MediaType, Request, Response, route
from litestar.connection.base import empty_receive, empty_send
from litestar.exceptions import InternalServerException, NotFoundException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.response import Stream
from litestar.types import Receive, Scope, Send
from litestar.utils import join_paths

from dagbook.api.errors import add_choices, choices_of
from dagbook.api.middleware.request_context import decode_scope
from dagbook.db.database import Database
from dagbook.db.repositories.logs import logs
from dagbook.db.repositories.logs.logs import StreamKey
from dagbook.errors import BadRequestError, ForbiddenError
from dagbook.identifiers import API_PATH

DOCUMENT = "/openapi.json"
# The tags of operations, by the first word of their path where it is another one.
_TAGS = {**dict.fromkeys(("health", "services", "workers"), "system"), "metrics": "monitoring"}


class ApiRequest(Request[Any, Any, Any]):
    """A request whose body is read strictly: the framework would read 1 or "true" as true (api-behaviour 1.1).

    The slashes that were hidden from routing are restored in its path.
    """

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        if "path_params" in scope:
            decode_scope(scope)
        super().__init__(scope, receive, send)

    async def read_into(self, take: Callable[[bytes], object]) -> None:
        """Give each part of the body to a function; raises RequestEntityTooLarge.

        Unlike ``stream``, this keeps no part while it waits for the next one, which a stranger need not send.
        """
        limit = self.route_handler.resolve_request_max_body_size() or 0
        size, more = 0, True
        while more:
            if max(size, self.content_length or 0) > limit:
                raise RequestEntityTooLarge
            message: Any = await self.receive()
            if message["type"] != "http.request":
                raise InternalServerException("the client has left")
            take(message["body"])
            size, more, message = size + len(message["body"]), message["more_body"], None

    async def json(self) -> Any:
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


Hook = Callable[[Request[Any, Any, Any]], Awaitable[Any]]
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM_REASON = "without authentication, this server changes nothing for a form: send JSON, or set insecure: true"


def requiring_json(then: Hook) -> Hook:
    """Make a hook that refuses changes whose body is not JSON, whatever its Content-Type says, and then calls another.

    A page of another site can post a form to a server without authentication, where handlers without a body ignore it.
    It cannot sign one; the handler of a signed body keeps nothing of it.
    """

    async def check(request: Request[Any, Any, Any]) -> Any:
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


def hide_extra_docs(request: Request[Any, Any, Any]) -> None:
    """Raise NotFoundException for the framework's documentation pages; only the OpenAPI document is served."""
    if not request.url.path.endswith(DOCUMENT):
        raise NotFoundException


def make_options(controllers: Sequence[type[Controller]]) -> HTTPRouteHandler:
    """Make a handler that lists the methods of these controllers' paths; it must be registered before them."""
    # Not from the routes of a Router: litestar copies every handler to make one, which takes a tenth of a start.
    paths = {
        join_paths([vars(controller).get("path", "/"), path])
        for controller in controllers
        for handler in vars(controller).values()
        if isinstance(handler, HTTPRouteHandler)
        for path in handler.paths
    }

    @route(
        sorted(paths),
        http_method=[HttpMethod.OPTIONS],
        status_code=204,
        include_in_schema=False,
    )
    async def list_methods(request: ApiRequest) -> Response[None]:
        template = request.scope["path_template"]
        methods = {method for each in request.app.routes if each.path_format == template for method in each.methods}
        return Response(None, headers={"Allow": ", ".join(sorted(methods))}, media_type="text/plain")

    return list_methods


TEXT_FILE = ResponseSpec(str, generate_examples=False, media_type="text/plain", description="The whole output")


def file_name(step: str, stream: str) -> str:
    return f"{step}.{'out' if stream == 'stdout' else 'err'}"


def send_log(database: Database, key: StreamKey, name: str) -> Stream:
    """Stream the output stored so far as an attachment with this file name."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
    return Stream(_blocks(database, key), media_type=MediaType.TEXT, headers=headers)


async def _blocks(database: Database, key: StreamKey) -> AsyncIterator[bytes]:
    seq = 0
    while texts := await database.read(partial(logs.find_texts, key=key, seq=seq)):
        for text in texts:
            yield text.encode()
        seq += len(texts)


def describe_operations(app: Litestar) -> None:
    """Give each operation of the document a tag, and its handler's docstring as summary and description."""
    for route_of_app in app.routes:
        noun = route_of_app.path.partition(f"{API_PATH}/")[2].partition("/")[0]
        for handler in getattr(route_of_app, "route_handlers", ()):
            summary, _, description = (inspect.getdoc(handler.fn) or "").replace("``", "`").partition("\n\n")
            handler.summary = " ".join(summary.split()).removesuffix(".")
            handler.description = description or None
            handler.tags = [_TAGS.get(noun, noun)] if noun else None
