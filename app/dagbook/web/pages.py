"""The pages: one HTML document for all of them, filled by the scripts it loads.

Addresses are those of ``static/lib/routes.js``; anything else is a real 404. Nothing is inline, so that the
policy can forbid it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter

from dagbook.auth.roles import Requires
from dagbook.errors import NotFoundError
from dagbook.web import files

PATHS = (
    "/",
    "/login",
    "/account",
    "/dags",
    "/dags/{name:str}",
    "/dags/{name:str}/{tab:str}",
    "/dag-runs",
    "/dag-runs/{name:str}/{run_id:str}",
    "/dag-runs/{name:str}/{run_id:str}/{sub_run_id:str}",
    "/compare",
    "/queues",
    "/schedules",
    "/workers",
    "/search",
    "/system",
    "/users",
    "/tokens",
    "/audit",
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
AnyRequest = Request[Any, Any, Any]


def make_handlers(base_path: str, facts: Mapping[str, Any]) -> list[HTTPRouteHandler]:
    """Make the routes of the UI; ``facts`` are what its scripts have to know of the server."""

    @get(list(PATHS), requires=Requires.PAGE, include_in_schema=False)
    async def get_page() -> Response[bytes]:
        """Return the document of every page."""
        return document(base_path, facts)

    return [get_page, get_asset]


def document(base_path: str, facts: Mapping[str, Any], status: int = 200) -> Response[bytes]:
    """Return the HTML document, also beside a status that is not a success."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": _REVALIDATE}
    return Response(render(base_path, facts), status_code=status, media_type="text/html", headers=headers)


def render(base_path: str, facts: Mapping[str, Any]) -> bytes:
    """Fill the document: where it lies, what its scripts have to know, which files they are."""
    assets = f"assets/{files.version()}"
    values = {
        "base": f"{base_path}/",
        "assets": assets,
        "facts": json.dumps(facts, ensure_ascii=False, separators=(",", ":")),
    }
    text = files.read("index.html").plain.decode()
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", escape(value, quote=True))
    preloads = "\n    ".join(f'<link rel="modulepreload" href="{assets}/{name}">' for name in files.preloaded())
    return text.replace("{{preloads}}", preloads).encode()


@get("/assets/{version:str}/{path:path}", requires=Requires.PUBLIC, include_in_schema=False)
async def get_asset(
    request: AnyRequest,
    version: Annotated[str, PathParameter(name="version")],
    path: Annotated[str, PathParameter(name="path")],
) -> Response[bytes]:
    """Return a file of the UI; under the address of this version it may be kept for ever."""
    try:
        file = files.read(str(path).removeprefix("/"))
    except KeyError:
        raise NotFoundError("the web UI has no such file") from None
    headers = {"Cache-Control": _IMMUTABLE if version == files.version() else _REVALIDATE, "Vary": "Accept-Encoding"}
    body = file.plain
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        body = file.packed
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type=file.media_type, headers=headers)


def wants_page(request: AnyRequest) -> bool:
    """Whether a browser asks for a page that is not there, and not a client for data."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")
