"""Routes of the web UI: one HTML document for all pages, rendered by the scripts that it loads.

The paths are those of ``static/lib/routes.js``; all others are a 404. The document has no inline scripts or styles, so
that the content security policy can forbid them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from html import escape
from typing import Annotated

import msgspec
from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.types import Scope

from dagbook.auth.audit_context import Caller
from dagbook.auth.roles import Requires
from dagbook.errors import NotFoundError
from dagbook.web import files, frame
from dagbook.web.frame import Session

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
    "/approvals",
    "/alerts",
    "/queues",
    "/schedules",
    "/batches",
    "/batches/{batch_id:str}",
    "/triggers",
    "/triggers/{name:str}",
    "/triggers/{name:str}/events/{event_id:str}",
    "/workers",
    "/sources",
    "/sources/{name:str}",
    "/search",
    "/system",
    "/users",
    "/access",
    "/tokens",
    "/audit",
    "/cli-login",
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
# The page that allows a token to `dagbook login` sends it to the port of this command, on the machine of the browser.
LOOPBACK_POLICY = POLICY.replace("form-action 'self'", "form-action 'self' http://127.0.0.1:*")
# A shared worker has the policy of its own response, not that of the page.
WORKER = "lib/feed-worker.js"
WORKER_POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'"
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
_LOGIN = "/login"
AnyRequest = Request[Caller, object, State]
FindSession = Callable[[AnyRequest], Awaitable[Session | None]]


def make_handlers(
    base_path: str,
    config: Callable[[Session | None], Awaitable[Mapping[str, object]]],
    find_session: FindSession,
    accepts_gzip: Callable[[Scope], bool],
) -> list[HTTPRouteHandler]:
    """Make the routes of the UI; ``config`` returns the configuration for the scripts of a page with this session."""

    @get(list(PATHS), requires=Requires.PAGE, include_in_schema=False)
    async def get_page(request: AnyRequest) -> Response[bytes]:
        """Return the document of every page."""
        path = request.url.path.removeprefix(base_path) or "/"
        policy = LOOPBACK_POLICY if path == "/cli-login" else POLICY
        session = None if path == _LOGIN else await find_session(request)
        return document(base_path, await config(session), path=path, session=session, policy=policy)

    @get("/assets/{version:str}/{path:path}", requires=Requires.PUBLIC, include_in_schema=False)
    async def get_asset(
        request: AnyRequest,
        version: Annotated[str, PathParameter(name="version")],
        path: Annotated[str, PathParameter(name="path")],
    ) -> Response[bytes]:
        """Return a static file; under the path of the current version it may be cached forever."""
        name = str(path).removeprefix("/")
        try:
            file = files.read(name)
        except KeyError:
            raise NotFoundError("the web UI has no such file") from None
        headers = {
            "Cache-Control": _IMMUTABLE if version == files.version() else _REVALIDATE,
            "Vary": "Accept-Encoding",
        }
        if name == WORKER:
            headers["Content-Security-Policy"] = WORKER_POLICY
        body = file.content
        if file.compressed is not None and accepts_gzip(request.scope):
            body = file.compressed
            headers["Content-Encoding"] = "gzip"
        return Response(body, media_type=file.media_type, headers=headers)

    return [get_page, get_asset]


def document(
    base_path: str,
    config: Mapping[str, object],
    *,
    status: int = 200,
    path: str = "",
    session: Session | None = None,
    policy: str = POLICY,
) -> Response[bytes]:
    """Return the HTML document, also with an error status. One with a session is for its browser alone."""
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": _REVALIDATE if session is None else "no-store",
        "Vary": "Cookie",
    }
    body = render(base_path, config, path, session)
    return Response(body, status_code=status, media_type="text/html", headers=headers)


def render(base_path: str, config: Mapping[str, object], path: str, session: Session | None) -> bytes:
    """Render the document with its base path, its configuration, its frame and its scripts."""
    assets = f"assets/{files.version()}"
    known = config if session is None else {**config, "session": session.body}
    texts = {
        "base": f"{base_path}/",
        "assets": assets,
        "config": msgspec.json.encode(known).decode(),
        "version": str(config["version"]),
    }
    seldom = f"/{path.removeprefix('/').partition('/')[0]}" in files.SELDOM
    preloads = (f'<link rel="modulepreload" href="{assets}/{name}">' for name in files.preloaded(seldom=seldom))
    parts = {name: escape(text, quote=True) for name, text in texts.items()} | {
        "places": frame.navigation(base_path, path, session),
        "person": frame.person(base_path, session),
        "banner": frame.banner(base_path, msgspec.convert(config["failing"], list[str])),
        "preloads": "\n    ".join(preloads),
    }
    text = files.read("index.html").content.decode()
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], text).encode()


def wants_page(request: AnyRequest) -> bool:
    """Whether a request comes from a browser that wants a page, not from an API client."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")
