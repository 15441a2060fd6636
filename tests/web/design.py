"""The design of a page, measured: sizes of text, buttons in a row, right edges, width, and what moves in a load."""

from __future__ import annotations

import msgspec
from playwright.async_api import BrowserContext, Page

WIDTHS = {1440: 900, 1920: 1080, 2560: 1440, 390: 844}
MOST_SIZES, MOST_BUTTONS, MOST_EDGES, MOST_SHIFT = 4, 1, 1, 0.01
_OBSERVE = """
window.__shift = 0;
window.__moved = [];
const nameOf = (node) => (node?.nodeName ?? "removed").toLowerCase() + (node?.className ? `.${node.className}` : "");
new PerformanceObserver((list) => {
  for (const { value, startTime, hadRecentInput, sources } of list.getEntries()) {
    if (hadRecentInput) continue;
    window.__shift += value;
    for (const { node, previousRect: from, currentRect: to } of sources)
      window.__moved.push(`${Math.round(startTime)} ms: ${nameOf(node)} ${from.x},${from.y} to ${to.x},${to.y}`);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
# A right edge is that of a box, with a border or a background, to the right of which there is no other box. Drawings
# are scaled, so their texts have any size; rows of a map or a grid have marks, not actions.
_MEASURE = """() => {
  const found = { sizes: {}, buttons: {}, edges: {}, overflow: 0, shift: window.__shift ?? 0,
    moved: window.__moved ?? [] };
  const seen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const nameOf = (one) => one.tagName.toLowerCase() + [...one.classList].map((name) => `.${name}`).join("");
  const hasText = (one) =>
    one.matches("input:not([type=checkbox], [type=radio]), select, textarea")
    || [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  for (const one of document.body.querySelectorAll("*:not(svg *, script, noscript, option)"))
    if (hasText(one) && seen(one)) found.sizes[getComputedStyle(one).fontSize] ??= nameOf(one);
  for (const row of document.querySelectorAll("table:not(.grid, .heat) tbody tr")) {
    const count = [...row.querySelectorAll("button, .button")].filter(seen).length;
    const cells = row.innerText.trim().split("\\n")[0];
    if (count > 1) found.buttons[cells] = count;
  }
  const isClear = (colour) => /^(transparent|rgba\\(.*, 0\\)|.*\\/ 0\\))$/.test(colour);
  const isBoxed = (style) => !isClear(style.backgroundColor)
    || ["Top", "Right", "Bottom"].some((side) => parseFloat(style[`border${side}Width`]) > 0
      && style[`border${side}Style`] !== "none" && !isClear(style[`border${side}Color`]));
  const small = "button, input, select, meter, .button, .tag, .chip, .status"; // parts of a line, not blocks
  const boxes = [];
  const walk = (parent, clip) => {
    for (const one of parent.children) {
      const style = getComputedStyle(one);
      if (style.display === "contents") walk(one, clip);
      if (/^(none|inline.*|contents)$/.test(style.display) || /^(fixed|absolute)$/.test(style.position)) continue;
      const { left, right, top, bottom } = one.getBoundingClientRect();
      if (bottom - top < 2 || right - left < 2 || !seen(one) || one.matches(small)) continue;
      const inside = style.overflowX === "visible" ? clip : Math.min(clip, right);
      if (isBoxed(style)) boxes.push({ left, right: Math.min(right, inside), top, bottom, name: nameOf(one) });
      else walk(one, inside);
    }
  };
  walk(document.querySelector("main"), Infinity);
  const isBeside = (one, other) => other.left >= one.right - 1
    && Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 2;
  for (const one of boxes)
    if (!boxes.some((other) => isBeside(one, other))) found.edges[Math.round(one.right)] ??= one.name;
  found.overflow = Math.max(0, document.documentElement.scrollWidth - window.innerWidth);
  return found;
}"""


class Design(msgspec.Struct, frozen=True):
    """What a page has: each with an example of it."""

    sizes: dict[str, str]
    buttons: dict[str, int]
    edges: dict[str, str]
    overflow: int
    shift: float
    moved: list[str]

    def problems(self) -> list[str]:
        """Return what is over the bars."""
        found = []
        if len(self.sizes) > MOST_SIZES:
            found.append(f"{len(self.sizes)} sizes of text: {_listed(self.sizes)}")
        if self.buttons:
            found.append(f"more than {MOST_BUTTONS} button in a row: {_listed(self.buttons)}")
        if len(self.edges) > MOST_EDGES:
            found.append(f"{len(self.edges)} right edges: {_listed(self.edges)}")
        if self.overflow:
            found.append(f"{self.overflow} pixels too wide")
        if self.shift > MOST_SHIFT:
            found.append(f"moves while it loads: {self.shift:.3f} ({'; '.join(self.moved)})")
        return found


async def observe(context: BrowserContext) -> None:
    """Let the pages of a browser count what moves from their start on."""
    await context.add_init_script(_OBSERVE)


async def measure(page: Page) -> Design:
    return msgspec.convert(await page.evaluate(_MEASURE), Design)


def _listed(found: dict[str, str] | dict[str, int]) -> str:
    return ", ".join(f"{name} ({example})" for name, example in sorted(found.items()))
