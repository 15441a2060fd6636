"""A route that says nothing about who may use it is no route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar, Router, asgi, delete, get, post
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send

from app.api.guards import UnguardedRouteError, find_actions, find_needs
from app.auth.origin import Action
from app.auth.roles import Needs


@get("/open", needs=Needs.PUBLIC)
async def guarded() -> None:
    """Say what it needs."""


@get("/forgotten")
async def forgotten() -> None:
    """Say nothing."""


@get("/worded", needs="run")
async def worded() -> None:
    """Say it in a word of its own."""


@delete("/open")
async def another_method() -> None:
    """Say nothing beside one that does."""


@asgi("/raw", copy_scope=True)
async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Say nothing, below the framework."""


@post("/told", needs=Needs.WRITE, audits=Action.DAG_CREATE)
async def told() -> None:
    """Say what it does."""


@post("/silent", needs=Needs.WRITE)
async def silent() -> None:
    """Change something and do not say so."""


@post("/own", needs=Needs.OWN)
async def own() -> None:
    """Change the own account and do not say so."""


@get("/dequeue", needs=Needs.RUN)
async def disguised() -> None:
    """Change something and look as if it did not."""


@post("/worded", needs=Needs.WRITE, audits="dag.create")
async def loosely() -> None:
    """Say it in a word of its own."""


@post("/checked", needs=Needs.READ)
async def checked() -> None:
    """Look at what is sent."""


def static(**values: Any) -> Router:
    return create_static_files_router("/files", ["."], **values)


def application(*handlers: Any) -> Litestar:
    return Litestar([*handlers], openapi_config=None, logging_config=None)


@pytest.mark.parametrize("handlers", [(forgotten,), (worded,), (guarded, another_method), (raw,), (static(),)])
def test_a_route_that_does_not_say_what_it_needs_is_found(handlers: tuple[Any, ...]) -> None:
    app = application(*handlers)
    with pytest.raises(UnguardedRouteError):
        find_needs(app)


def test_what_every_route_needs_is_told_by_method_and_path() -> None:
    router = Router("/api", route_handlers=[forgotten], opt={"needs": Needs.READ})
    assert find_needs(application(guarded, router)) == {
        ("GET", "/open"): Needs.PUBLIC,
        ("GET", "/api/forgotten"): Needs.READ,
    }


@pytest.mark.parametrize("make", [static])
def test_files_say_it_too(make: Callable[..., Router]) -> None:
    found = find_needs(application(make(opt={"needs": Needs.PUBLIC})))
    assert set(found.values()) == {Needs.PUBLIC}


@pytest.mark.parametrize("handler", [silent, own, disguised, loosely])
def test_a_changing_route_that_the_audit_has_no_word_for_is_found(handler: Any) -> None:
    app = application(told, handler)
    with pytest.raises(UnguardedRouteError, match="nobody notes its use"):
        find_actions(app)


def test_what_changing_routes_do_is_told_by_method_and_path() -> None:
    assert find_actions(application(told, checked, guarded)) == {("POST", "/told"): Action.DAG_CREATE}
