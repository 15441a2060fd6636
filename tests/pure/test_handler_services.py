"""A controller gets the services that it declares, and a declaration that cannot be met is an error at assembly."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, get_type_hints

import msgspec
import pytest
from litestar import Controller, Litestar, get
from litestar.di import NamedDependency
from litestar.testing import TestClient

from dagbook.api import controllers
from dagbook.api.providers import bind_services, provide_services
from dagbook.api.requests import ApiRequest
from dagbook.api.services import AppServices


class Version(msgspec.Struct, frozen=True, kw_only=True):
    version: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    telepathy: str


def assemble(kind: type[msgspec.Struct], services: Any) -> Litestar:
    class Some(Controller):
        dependencies = provide_services(kind)

        @get("/version")
        async def get_version(self, services: NamedDependency[Any]) -> str:
            return str(services.version)

    app = Litestar([Some], request_class=ApiRequest, openapi_config=None)
    bind_services(app, services)
    return app


def test_a_handler_gets_the_services_of_its_application() -> None:
    one, other = (assemble(Version, Version(version=version)) for version in ("1", "2"))
    with TestClient(one) as client, TestClient(other) as another:
        assert (client.get("/version").text, another.get("/version").text) == ("1", "2")


def test_a_service_that_there_is_not_is_an_error_at_assembly() -> None:
    with pytest.raises(AttributeError, match="telepathy"):
        assemble(Unknown, Version(version="1"))


def _declares(value: object) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, Controller)
        and value is not Controller
        and "dependencies" in vars(value)
    )


def test_declared_services_have_the_types_of_those_of_the_application() -> None:
    known = get_type_hints(AppServices)
    modules = [import_module(f"{controllers.__name__}.{found.name}") for found in iter_modules(controllers.__path__)]
    declared = [value.dependencies for module in modules for value in vars(module).values() if _declares(value)]
    structs = {dependencies["services"].struct for dependencies in declared}
    wrong = {
        f"{struct.__name__}.{name}: {kind}"
        for struct in structs
        for name, kind in get_type_hints(struct).items()
        if known.get(name) != kind
    }
    assert len(structs) > 20
    assert not wrong
