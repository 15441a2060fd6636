"""Requests to every field of every route that takes a text, made from the route table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args
from urllib.parse import quote, unquote

import msgspec
from litestar.routes import HTTPRoute

from dagbook.main import API_PATH, Server
from tests.app.dagbook import routes_of

PATH, QUERY, BODY = "path", "query", "body"
EXISTING = {
    "fileName": "quick",
    "name": "quick",
    "dagRunId": "seeded",
    "stepName": "say",
    "subDAGRunId": "x",
    "number": "1",
}
SPEC = "steps:\n  - name: say\n    command: 'true'\n"


class Field(NamedTuple):
    """One place of one route that takes a text."""

    method: str
    route: str
    where: str
    name: str
    is_number: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.route} {self.where} {self.name}"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    content: bytes


def fields(server: Server, document: Mapping[str, Any]) -> list[Field]:
    """Return all fields that take a text; parameters of queries are those of the server's own description."""
    return [field for route in _routes(server) for field in (*_of_path(route), *_of_body(route))] + list(
        _of_query(document)
    )


def _routes(server: Server) -> list[HTTPRoute]:
    return [route for route in routes_of(server).routes if isinstance(route, HTTPRoute)]


def _methods(route: HTTPRoute) -> list[str]:
    return sorted(method for method in route.methods if method != "OPTIONS")


def _of_path(route: HTTPRoute) -> Iterator[Field]:
    for name in route.path_parameters:
        for method in _methods(route):
            yield Field(method, route.path_format, PATH, name)


def _of_body(route: HTTPRoute) -> Iterator[Field]:
    for handler in route.route_handlers:
        data = handler.parsed_fn_signature.parameters.get("data")
        for name in _texts(data.annotation) if data else ():
            for method in handler.http_methods:
                yield Field(method, route.path_format, BODY, name)


def _texts(annotation: Any) -> Iterator[str]:
    struct = next(kind for kind in _parts(annotation) if isinstance(kind, type) and issubclass(kind, msgspec.Struct))
    for field in msgspec.structs.fields(struct):
        if any(isinstance(kind, type) and issubclass(kind, str) for kind in _parts(field.type)):
            yield field.encode_name


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _of_query(document: Mapping[str, Any]) -> Iterator[Field]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation["parameters"]:
                if parameter["in"] == "query":
                    number = "integer" in json.dumps(parameter["schema"])
                    yield Field(method.upper(), path, QUERY, parameter["name"], number)


class Attacker:
    """Sends what no client library would let through: bytes of a target as they are."""

    def __init__(self, server: Server, token: str, existing: Mapping[str, str]) -> None:
        self._app = server.app
        self._token = token
        self.existing = {**EXISTING, **existing}
        self.requests = 0

    async def try_field(self, field: Field, payload: str, *, raw: bool = False) -> Answer:
        """Send a payload in one field and true values in the others; ``raw`` leaves the path as it is."""
        value = payload if raw else quote(payload, safe="", errors="surrogatepass")
        values = {name: quote(text) for name, text in self.existing.items()}
        if field.where == PATH:
            values[field.name] = value
        path = _fill(field.route, values)
        query = f"{field.name}={value}" if field.where == QUERY else ""
        return await self.ask(field.method, path, query, self._body(field, payload))

    def _body(self, field: Field, payload: str) -> bytes:
        if field.method not in ("POST", "PUT", "PATCH"):
            return b""
        body = {
            "spec": SPEC,
            "suspend": False,
            "status": 4,
            "dagRunId": "again",
            "newFileName": "other",
            "username": "ann",
        }
        body |= {"name": "made"} if "rename" not in field.route else {}
        if field.route.endswith("/retry"):
            body["dagRunId"] = self.existing["dagRunId"]
        if field.where == BODY:
            body[field.name] = payload
        return json.dumps(body).encode()

    async def send(self, method: str, path: str, body: Any) -> Answer:
        """Send what an honest client would."""
        return await self.ask(method, API_PATH + path, body=json.dumps(body).encode())

    async def ask(self, method: str, path: str, query: str = "", body: bytes = b"") -> Answer:
        """Ask as uvicorn passes a request on."""
        self.requests += 1
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + self._token.encode())]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
            "server": ("localhost", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(messages, {"type": "http.disconnect"})  # who hangs up ends a stream that would have no end

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)  # type: ignore[arg-type]  # one ASGI, two spellings of its types
        told = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent[1:]))


def _fill(route: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        route = route.replace(f"{{{name}}}", value)
    return route
