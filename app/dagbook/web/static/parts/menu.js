// Menus of actions: one button that opens a list of them, alone or beside the main action.

import { html, useId, useLayoutEffect, useRef, useState } from "../vendor/core.js";
import { arrowNavigation } from "../lib/arrow-nav.js";
import { Icon } from "./basic.js";

/** @import { MaybeItem, MenuItem } from "../../types/ui" */

const GAP = 4; // pixels, to the button and to the edges of the window
const ITEM = '[role="menuitem"]';
const STEPS = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/**
 * A button that opens a menu. `label` is its accessible name, `title` its text; without a title it shows the icon.
 * Nothing without items.
 * @param {{ label: string, items: MaybeItem[], icon?: string, title?: string, class?: string }} props
 */
export function Menu({ label, items, icon = "more", title, class: look = title ? "" : "quiet" }) {
  const id = useId();
  // Counts how often it opened since it was shut: the browser reports a menu that is shut and opened at once with one
  // event, from open to open, and its items are to take the focus again.
  const [opened, setOpened] = useState(0);
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const shown = /** @type {MenuItem[]} */ (items.filter(Boolean));
  if (!shown.length) return null;
  const close = () => list.current?.hidePopover();
  const show = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    button.current?.click();
  };
  // The browser opens and closes the popover with its button, on Escape and a click elsewhere; it is empty until then.
  return html`<button type="button" ref=${button} class=${look} popovertarget=${id} aria-haspopup="menu"
      aria-expanded=${opened > 0} aria-label=${label} title=${title ? undefined : label} onKeyDown=${show}>
      ${title}<${Icon} name=${icon} /></button>
    <div id=${id} ref=${list} popover="auto" class="menu" role="menu" aria-label=${label}
      onToggle=${(/** @type {ToggleEvent} */ event) => setOpened((times) => event.newState === "open" ? times + 1 : 0)}>
      ${opened > 0 && html`<${Items} key=${opened} items=${shown} button=${button} onClose=${close} />`}</div>`;
}

/** @param {{ items: MenuItem[], button: { current: HTMLButtonElement | null }, onClose: () => void }} props */
function Items({ items, button, onClose }) {
  const content = useRef(/** @type {HTMLElement | null} */ (null));
  useLayoutEffect(() => {
    const menu = content.current?.parentElement;
    if (!menu || !button.current) return undefined;
    place(menu, button.current.getBoundingClientRect());
    /** @type {HTMLElement | null} */ (menu.querySelector(ITEM))?.focus({ preventScroll: true });
    const leave = (/** @type {Event} */ event) => menu.contains(/** @type {Node} */ (event.target)) || onClose();
    window.addEventListener("scroll", leave, true); // the menu would stay where its button was
    window.addEventListener("resize", onClose);
    return () => {
      window.removeEventListener("scroll", leave, true);
      window.removeEventListener("resize", onClose);
    };
  }, []);
  const choose = (/** @type {MenuItem} */ { disabled, onChoose }) => {
    if (disabled) return;
    onClose();
    button.current?.focus(); // a dialog that opens gives the focus back to it
    onChoose?.();
  };
  const keys = arrowNavigation(ITEM, STEPS);
  const press = (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    if (event.key === "Tab") onClose();
    else keys(event);
  };
  return html`<div ref=${content} onKeyDown=${press}>${items.map((item) => html`<${Item} key=${item.title}
    item=${item} onChoose=${() => choose(item)} />`)}</div>`;
}

/** @param {{ item: MenuItem, onChoose: () => void }} props */
function Item({ item: { title, hint, href, disabled, danger }, onChoose }) {
  const more = disabled || hint;
  const content = html`<span>${title}</span>${more && html`<small>${more}</small>`}`;
  if (href && !disabled) return html`<a role="menuitem" tabindex="-1" href=${href} onClick=${onChoose}>${content}</a>`;
  return html`<button type="button" role="menuitem" tabindex="-1" class=${danger ? "danger" : ""}
    aria-disabled=${disabled ? "true" : undefined} onClick=${onChoose}>${content}</button>`;
}

/** Below the button at its right edge, or above if there is more room. @param {HTMLElement} menu @param {DOMRect} at */
function place(menu, at) {
  const { clientWidth: right, clientHeight: bottom } = document.documentElement;
  const { offsetWidth: width, offsetHeight: height } = menu;
  const above = at.bottom + GAP + height > bottom && at.top > bottom - at.bottom;
  menu.style.top = `${Math.max(GAP, above ? at.top - GAP - height : at.bottom + GAP)}px`;
  menu.style.left = `${Math.max(GAP, Math.min(at.right, right - GAP) - width)}px`;
}

/**
 * The main action of its kind and a menu of the others; `disabled` is the reason why the main one cannot be done now.
 * @param {{ title: string, onChoose: () => unknown, items: MaybeItem[], disabled?: string | false | null,
 *   primary?: boolean, label?: string }} props
 */
export function SplitButton({ title, onChoose, items, disabled, primary = false, label = `${title}: other actions` }) {
  const look = primary ? "primary" : "";
  return html`<span class="split">
    <button type="button" class=${look} disabled=${Boolean(disabled)} title=${disabled || undefined}
      onClick=${onChoose}>${title}</button>
    <${Menu} label=${label} icon="shut" class=${look} items=${items} /></span>`;
}
