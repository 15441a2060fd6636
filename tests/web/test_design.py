"""The pages keep the bars of the design: four sizes of text, a button in a row, a right edge, nothing that moves."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser

from tests.web import design
from tests.web.browser import visiting
from tests.web.site import Site
from tests.web.test_pages import PAGES

_SOME = ("dags", "runs", "queues", "users", "sources", "system", "dag-spec", "run-failed", "alerts", "dag-alerts")
_QUICK, _ALL = [1440], list(design.WIDTHS)


@pytest.mark.parametrize(
    ("names", "widths"),
    [(_SOME, _QUICK), pytest.param(tuple(PAGES), _ALL, marks=(pytest.mark.full, pytest.mark.timeout(600)))],
    ids=["some", "all"],
)
async def test_pages_keep_the_bars_of_the_design(
    browser: Browser, site: Site, names: tuple[str, ...], widths: list[int]
) -> None:
    wrong = []
    for width in widths:
        async with visiting(browser, site.address, cookie=site.cookies["admin"], width=width) as visitor:
            await visitor.page.set_viewport_size({"width": width, "height": design.WIDTHS[width]})
            await design.observe(visitor.context)
            for name in names:
                page = await visitor.open(PAGES[name])
                found = await design.measure(page)
                assert found.sizes, f"{name}: no text was found"
                wrong += [f"{name} at {width} pixels: {problem}" for problem in found.problems()]
    assert wrong == []


async def test_the_measures_see_what_is_over_the_bars(browser: Browser, site: Site) -> None:
    """So that a change of the pages does not make the test above look at nothing."""
    async with visiting(browser, site.address, cookie=site.cookies["admin"]) as visitor:
        await design.observe(visitor.context)
        page = await visitor.open("/users")
        await page.evaluate(
            """() => {
                const add = (text, style) => {
                    const added = document.createElement("div");
                    added.textContent = text;
                    Object.assign(added.style, style);
                    document.querySelector("main").prepend(added);
                };
                for (const size of [15, 16]) add("text", { fontSize: `${size}px` });
                add("box", { width: "200px", border: "1px solid red" });
                add("wide", { width: "4000px" });
                document.querySelector("td.actions").append(document.createElement("button"));
            }"""
        )
        await page.wait_for_function("() => window.__shift > 0.01")
        found = await design.measure(page)
    said = "\n".join(found.problems())
    for problem in ("sizes of text", "button in a row", "right edges", "pixels too wide", "moves while it loads"):
        assert problem in said
