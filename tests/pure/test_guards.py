"""A route that says nothing about who may use it is no route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar, Router, asgi, delete, get
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send

from app.api.guards import UnguardedRouteError, find_needs
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
