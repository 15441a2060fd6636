"""A real browser, and what somebody who uses the web UI with it sees."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright, expect
from playwright.async_api import Error as PlaywrightError

SCREENSHOTS = Path(__file__).parent.parent.parent / ".screenshots"
WIDTHS = {1440: 900, 390: 844}
PATIENCE_MILLISECONDS = 45_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Loaded: the title says what the page is, and nothing stands for what is still to come.
SETTLED = """() => document.title.endsWith("Dagbook") && document.querySelector("h1, h2")
    && !document.querySelector(".loading, main[aria-busy=true]")"""


def find_chromium() -> str:
    """Return the browser's program; a test of the UI without one fails, it is not skipped."""
    # The shell is the same browser without windows, which cost more processor time than the pages of most tests.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    assert program, "the tests of the web UI need Chromium. On Debian: apt-get install chromium-headless-shell"
    return program


@asynccontextmanager
async def running_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        yield browser
        await browser.close()


class Sent(msgspec.Struct, frozen=True):
    """A request of a page to its server."""

    method: str
    path: str


class Visitor:
    """Somebody at a browser: the page, and all that went wrong in it."""

    def __init__(self, address: str, context: BrowserContext, page: Page) -> None:
        self.address = address
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        self.sent: list[Sent] = []
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._note_request)

    async def open(self, path: str) -> Page:
        """Go to a path and wait until the page has what it shows."""
        await self.page.goto(self.address + path)
        return await self.settle()

    async def settle(self) -> Page:
        await self.page.wait_for_function(SETTLED, timeout=PATIENCE_MILLISECONDS)
        return self.page

    def asked(self) -> list[Sent]:
        """Return the requests to the API, the stream of changes left out."""
        return [sent for sent in self.sent if sent.path.startswith("/api/") and "/events" not in sent.path]

    async def save_screenshot(self) -> None:
        """Write a picture of the whole page, named after the test that runs."""
        SCREENSHOTS.mkdir(exist_ok=True)
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition("/")[2].partition(" ")[0]
        await self.page.screenshot(path=SCREENSHOTS / f"{re.sub('[^a-zA-Z0-9_.-]+', '-', test)}.png", full_page=True)

    async def find_barriers(self) -> list[str]:
        """Return what keeps people from using the page: serious findings of axe."""
        said = len(self.complaints)
        found = await Axe().run(self.page)
        del self.complaints[said:]  # axe tries inline styles, which the policy of the page refuses
        return [_barrier(one) for one in found.response["violations"] if one["impact"] in ("serious", "critical")]

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        self.sent.append(Sent(request.method, parts.path + (f"?{parts.query}" if parts.query else "")))


def _barrier(finding: dict[str, Any]) -> str:
    where = [" ".join(map(str, node["target"])) for node in finding["nodes"][:3]]
    return f"{finding['id']}: {finding['help']} at {where}"


@asynccontextmanager
async def visiting(
    browser: Browser,
    address: str,
    *,
    cookie: str | None = None,
    width: int = 1440,
    theme: Literal["light", "dark"] = "light",
    zone: str | None = None,
) -> AsyncIterator[Visitor]:
    """Sit down at a browser, logged in with the cookie of a session."""
    size: Any = {"width": width, "height": WIDTHS.get(width, 900)}
    context = await browser.new_context(
        viewport=size, color_scheme=theme, reduced_motion="reduce", locale="en-GB", timezone_id=zone
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    if cookie is not None:
        name, _, value = cookie.partition("=")
        given: Any = {"name": name, "value": value, "url": f"{address}/", "httpOnly": True, "sameSite": "Strict"}
        # The browser asks for an address of https; it sends the cookie to a loopback address all the same.
        secure = {"url": f"{address.replace('http:', 'https:')}/", "secure": True} if name.startswith("__Host-") else {}
        await context.add_cookies([given | secure])
        await context.add_init_script("localStorage.setItem('dagbook.session', 'of the tests')")
    visitor = Visitor(address, context, await context.new_page())
    try:
        yield visitor
    except BaseException:
        with suppress(PlaywrightError):  # the page may be what has failed
            await visitor.save_screenshot()
        raise
    finally:
        await context.close()
