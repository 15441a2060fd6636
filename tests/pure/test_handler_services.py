"""A controller gets the services of its package, and a kind of them that there is not is an error at assembly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from litestar import Controller, Litestar, get
from litestar.di import NamedDependency
from litestar.testing import TestClient

from dagbook.api.dependencies import bind_services, provide_services
from dagbook.api.requests import ApiRequest


class Version(msgspec.Struct, frozen=True, kw_only=True):
    version: str


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    version: str


class All(msgspec.Struct, frozen=True, kw_only=True):
    known: Version


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
    one, other = (assemble(Version, All(known=Version(version=version))) for version in ("1", "2"))
    with TestClient(one) as client, TestClient(other) as another:
        assert (client.get("/version").text, another.get("/version").text) == ("1", "2")


def test_a_kind_of_services_that_there_is_not_is_an_error_at_assembly() -> None:
    with pytest.raises(KeyError, match="Unknown"):
        assemble(Unknown, All(known=Version(version="1")))
