// The tooltip of charts, for the mark under the pointer or with the focus: at once, and the same for all.
// Marks have their text in `data-tip`; its lines are lines of the tooltip.

const GAP = 6; // pixels

/** @type {HTMLElement | null} */
let tip = null;

function element() {
  if (!tip?.isConnected) {
    tip = document.createElement("div");
    tip.className = "tip";
    tip.popover = "manual";
    tip.ariaHidden = "true"; // the marks have labels
    document.body.append(tip);
  }
  return tip;
}

/**
 * Show a text above a rectangle of the window, or below it where there is no room.
 * @param {string} text
 * @param {{ left: number, width: number, top: number, bottom: number }} at
 */
export function showTip(text, { left, width, top, bottom }) {
  const shown = element();
  shown.textContent = text;
  shown.showPopover();
  const room = document.documentElement.clientWidth - shown.offsetWidth - GAP;
  const above = top - GAP - shown.offsetHeight;
  shown.style.left = `${Math.max(GAP, Math.min(left + width / 2 - shown.offsetWidth / 2, room))}px`;
  shown.style.top = `${above < 0 ? bottom + GAP : above}px`;
}

export function hideTip() {
  if (tip?.isConnected) tip.hidePopover();
}

/** @param {Event} event */
function follow({ target }) {
  const mark = target instanceof Element ? target.closest("[data-tip]") : null;
  if (mark instanceof HTMLElement || mark instanceof SVGElement)
    showTip(mark.dataset.tip ?? "", mark.getBoundingClientRect());
  else hideTip();
}

for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, follow);
for (const kind of ["focusout", "pointerdown", "keydown"]) document.addEventListener(kind, hideTip);
window.addEventListener("scroll", hideTip, true);
