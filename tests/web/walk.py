"""The way of somebody through the pages to what they want, with their clicks counted."""

from __future__ import annotations

from playwright.async_api import Locator, Page, expect

from tests.web.browser import Visitor

MOST_CLICKS = 5


class Walk:
    """Clicks like a person: a sixth one is one too many."""

    def __init__(self, visitor: Visitor, most: int = MOST_CLICKS) -> None:
        self.visitor = visitor
        self.page: Page = visitor.page
        self.clicks = 0
        self._most = most

    async def click(self, what: Locator) -> None:
        self.clicks += 1
        assert self.clicks <= self._most, f"click {self.clicks} of at most {self._most}, on {what}"
        await what.click()

    async def press(self, name: str, within: Locator | None = None) -> None:
        """Click the button of that very name."""
        await self.click((within or self.page).get_by_role("button", name=name, exact=True))

    async def choose(self, name: str, of: str) -> None:
        """Click the button of a menu, and then the item of that very name."""
        await self.press(of)
        await self.click(self.page.get_by_role("menuitem", name=name, exact=True))

    async def follow(self, name: str, within: Locator | None = None) -> None:
        """Click the link of that very name, the first if there are several."""
        await self.click((within or self.page).get_by_role("link", name=name, exact=True).first)

    async def turn_to(self, name: str) -> None:
        """Go to one of the pages in the navigation."""
        await self.follow(name, self.page.get_by_role("navigation", name="Pages"))
        await self.visitor.settle()

    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def region(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name, exact=True)

    async def see(self, what: Locator) -> None:
        """Wait until it is in sight."""
        await expect(what.first).to_be_visible()

    async def see_text(self, text: str, within: Locator | None = None) -> None:
        await self.see((within or self.page).get_by_text(text))
