"""What the application does otherwise than litestar, for a quick start: fails when the library changes there."""

from __future__ import annotations

from litestar import Litestar, Router, get

from dagbook.api.routes import make_options
from dagbook.main import http

CONTROLLERS = [*http.OWN_HANDLERS, *http.FORWARDED_HANDLERS]


@get("/greeting")
async def greet() -> str:
    return "hello"


def test_a_router_is_registered_itself_and_not_as_a_copy() -> None:
    own, theirs = http._Router("/a", route_handlers=[greet]), Router("/b", route_handlers=[greet])
    app = Litestar([own, theirs], openapi_config=None)
    assert (own.owner, theirs.owner) == (app, None)


def test_only_plugins_for_pydantic_and_attrs_are_left_out() -> None:
    theirs = {type(plugin) for plugin in Litestar([], openapi_config=None).plugins}
    ours = {type(plugin) for plugin in http._Application([], openapi_config=None).plugins}
    assert ours < theirs
    left_out = {".".join(plugin.__module__.split(".")[:3]) for plugin in theirs - ours}
    assert left_out == {"litestar.plugins.pydantic", "litestar.plugins.attrs"}


def test_options_are_told_for_every_path_of_the_controllers() -> None:
    paths = {each.path for each in Router("/", route_handlers=CONTROLLERS).routes}
    assert make_options(CONTROLLERS).paths == paths
