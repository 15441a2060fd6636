"""One server and one browser for all tests of the web UI."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from playwright.async_api import Browser

from tests.process.conftest import end
from tests.web.browser import running_browser
from tests.web.site import Site, fill, open_site

Tell = Callable[[str], None]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with running_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that is only looked at; tests that change things make their own DAGs."""
    opened = open_site(tmp_path_factory.mktemp("site") / "home")
    try:
        fill(opened)
        yield opened
    finally:
        opened.client.close()
        end(opened.program)


@pytest.fixture
def tell(record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Tell:
    """Say what was measured, whether the test passes or not, and keep it with the test's result."""

    def say(text: str) -> None:
        record_property("measured", text)
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}\n")

    return say
