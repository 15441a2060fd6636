"""Measure the design of all pages of the web UI, on the demo server of scripts/screenshots.

    scripts/design               each page at 390, 1440, 1920 and 2560 pixels, light and dark
    scripts/design --only run    only the pages whose name has this text

Prints a line per page and width: sizes of text, most buttons in a row of a table, right edges, pixels that the page is
too wide, and layout shift. Fails when one is over its bar (tests/web/design.py), and says which part of the page it is.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.async_api import Browser

from scripts.documentation.screenshots import ANONYMOUS, PAGES, Demo, fill
from tests.process.conftest import end
from tests.web.browser import running_browser, visiting
from tests.web.design import WIDTHS, Design, measure, observe
from tests.web.site import SETTINGS, Site

_LOADED_MILLISECONDS = 500  # what loads after the page itself: lines of a log, charts


async def measure_page(browser: Browser, site: Site, name: str, width: int) -> list[Design]:
    """Measure a page in both themes."""
    cookie = None if name in ANONYMOUS else site.cookies["admin"]
    async with visiting(browser, site.address, cookie=cookie, width=width) as visitor:
        await visitor.page.set_viewport_size({"width": width, "height": WIDTHS[width]})
        await observe(visitor.context)
        page = await visitor.open(PAGES[name])
        await page.wait_for_timeout(_LOADED_MILLISECONDS)
        light = await measure(page)
        await page.emulate_media(color_scheme="dark")
        return [light, await measure(page)]


async def measure_all(site: Site, only: str) -> int:
    """Measure all pages; returns how many values are over the bars."""
    count = 0
    print(f"{'page':20} {'width':>5} {'sizes':>5} {'buttons':>7} {'edges':>5} {'too wide':>8} {'shift':>6}")
    async with running_browser() as browser:
        for name in filter(lambda name: only in name, PAGES):
            for width in WIDTHS:
                for theme, found in zip(("light", "dark"), await measure_page(browser, site, name, width), strict=True):
                    buttons = max(found.buttons.values(), default=1)
                    row = f"{len(found.sizes):5} {buttons:7} {len(found.edges):5} {found.overflow:8} {found.shift:6.3f}"
                    if theme == "light":
                        print(f"{name:20} {width:5} {row}", flush=True)
                    if found.problems():
                        print(*(f"    {theme}: {problem}" for problem in found.problems()), sep="\n", flush=True)
                    count += len(found.problems())
    return count


def main() -> int:
    """Do what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(usage=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    os.environ.setdefault("PYTEST_CURRENT_TEST", "design")  # names the picture of a page that fails
    with tempfile.TemporaryDirectory(prefix="dagbook-") as place:
        site = Site(Demo(Path(place) / "home", settings=SETTINGS).start())
        try:
            fill(site)
            count = asyncio.run(measure_all(site, options.only))
        finally:
            site.client.close()
            end(site.program)
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
