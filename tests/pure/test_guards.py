"""A route that says nothing about who may use it is no route."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar, Router, asgi, delete, get, post
from litestar.static_files import create_static_files_router
from litestar.types import Receive, Scope, Send

from dagbook.api.auth.guards import UnguardedRouteError, find_actions, find_required_permissions
from dagbook.auth.audit_context import Action
from dagbook.auth.roles import Requires


@get("/open", requires=Requires.PUBLIC)
async def guarded() -> None:
    """Say what it needs."""


@get("/forgotten")
async def forgotten() -> None:
    """Say nothing."""


@get("/worded", requires="run")
async def worded() -> None:
    """Say it in a word of its own."""


@delete("/open")
async def another_method() -> None:
    """Say nothing beside one that does."""


@asgi("/raw", copy_scope=True)
async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Say nothing, below the framework."""


@post("/told", requires=Requires.WRITE, audits=Action.DAG_CREATE)
async def told() -> None:
    """Say what it does."""


@post("/silent", requires=Requires.WRITE)
async def silent() -> None:
    """Change something and do not say so."""


@post("/own", requires=Requires.OWN)
async def own() -> None:
    """Change the own account and do not say so."""


@get("/dequeue", requires=Requires.RUN)
async def disguised() -> None:
    """Change something and look as if it did not."""


@post("/worded", requires=Requires.WRITE, audits="dag.create")
async def loosely() -> None:
    """Say it in a word of its own."""


@post("/checked", requires=Requires.READ)
async def checked() -> None:
    """Look at what is sent."""


def static(**values: Any) -> Router:
    return create_static_files_router("/files", ["."], **values)


def application(*handlers: Any) -> Litestar:
    return Litestar([*handlers], openapi_config=None, logging_config=None)


@pytest.mark.parametrize("handlers", [(forgotten,), (worded,), (guarded, another_method), (raw,), (static(),)])
def test_a_route_without_required_permission_is_found(handlers: tuple[Any, ...]) -> None:
    app = application(*handlers)
    with pytest.raises(UnguardedRouteError):
        find_required_permissions(app)


def test_required_permissions_are_listed_by_method_and_path() -> None:
    router = Router("/api", route_handlers=[forgotten], opt={"requires": Requires.READ})
    assert find_required_permissions(application(guarded, router)) == {
        ("GET", "/open"): Requires.PUBLIC,
        ("GET", "/api/forgotten"): Requires.READ,
    }


@pytest.mark.parametrize("make", [static])
def test_files_say_it_too(make: Callable[..., Router]) -> None:
    found = find_required_permissions(application(make(opt={"requires": Requires.PUBLIC})))
    assert set(found.values()) == {Requires.PUBLIC}


@pytest.mark.parametrize("handler", [silent, own, disguised, loosely])
def test_a_changing_route_that_the_audit_has_no_word_for_is_found(handler: Any) -> None:
    app = application(told, handler)
    with pytest.raises(UnguardedRouteError, match="it is not audited"):
        find_actions(app)


def test_audited_actions_are_listed_by_method_and_path() -> None:
    assert find_actions(application(told, checked, guarded)) == {("POST", "/told"): Action.DAG_CREATE}
