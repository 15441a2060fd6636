// A list of channels or of rules, with the menu that both have, and the dialogs that it leads to.

import { html, useState } from "../vendor/core.js";
import { remove } from "../lib/api.js";
import { Table } from "./basic.js";
import { Confirm } from "./form.js";
import { Menu } from "./menu.js";
import { attempt } from "./notice.js";

/** @import { MaybeItem } from "../../types/ui" */

/**
 * `cells` are those of a row before its menu, which has `more`, a change and `dialogs` by their titles. `kept` says why
 * one cannot be removed, `removed` what that does. `children` are the buttons beside the heading.
 * @template {Api.AlertChannel | Api.AlertRule} T
 * @param {{ noun: "channel" | "rule", title: string, items: T[], heads: Children[], cells: (item: T) => Children,
 *   mayUse: (item: T) => boolean, kept?: (item: T) => string, removed: string, turn: (item: T) => Promise<unknown>,
 *   dialogs: Record<string, (item: T, close: () => void) => Children>, extra?: (item: T) => string[],
 *   hint?: string, reload: () => Promise<unknown>, children?: Children }} props
 */
export function ItemList({ noun, title, items, heads, cells, mayUse, kept, removed, turn, dialogs, extra, hint, reload,
  children }) {
  const [asked, setAsked] = useState(/** @type {{ item: T, what: string } | null} */ (null));
  const close = () => setAsked(null);
  const hasActions = items.some(mayUse);
  const menuOf = (/** @type {T} */ item) => {
    const { name, enabled, configured } = item;
    const fixed = configured && `It is in the setting alert_${noun}s: change it there`;
    const ask = (/** @type {string} */ what) => () => setAsked({ item, what });
    /** @type {MaybeItem[]} */
    const found = [
      { title: "Send a test…", disabled: !enabled && "It is disabled", onChoose: ask("test") },
      { title: "Edit…", disabled: fixed, onChoose: ask("edit") },
      ...(extra?.(item) ?? []).map((what) => ({ title: `${what}…`, disabled: fixed, onChoose: ask(what) })),
      { title: enabled ? "Disable" : "Enable", hint: enabled ? hint : "", disabled: fixed, onChoose: () =>
        attempt(() => turn(item).then(reload), `The ${noun} ${name} is ${enabled ? "disabled" : "enabled"}.`) },
      { title: "Remove…", danger: true, disabled: fixed || kept?.(item), onChoose: ask("remove") },
    ];
    return found;
  };
  return html`<section aria-label=${title}><div class="row"><h2>${title}</h2><span class="grow"></span>${children}</div>
    ${items.length > 0 && html`<${Table} heads=${[...heads, ...(hasActions ? ["Actions"] : [])]}>
      ${items.map((item) => html`<tr key=${item.name}>${cells(item)}
        ${hasActions && html`<td class="actions"><${Menu} label=${`Actions of the ${noun} ${item.name}`}
          items=${mayUse(item) ? menuOf(item) : []} /></td>`}</tr>`)}<//>`}
    ${asked && dialogs[asked.what]?.(asked.item, close)}
    ${asked?.what === "remove" && html`<${Confirm} title=${`Remove the ${noun} ${asked.item.name}?`} action="Remove"
      onClose=${close} onConfirm=${() => remove([`alert-${noun}s`, asked.item.name]).then(reload)}>
      <p>${removed}</p><//>`}</section>`;
}

/** The field for the name of a new channel or rule. @param {{ value?: string, sample?: string }} props */
export const NameField = ({ value, sample }) => html`<label>Name<input name="name" required maxlength="64"
  pattern="[A-Za-z0-9_.\\-]+" placeholder=${sample} autocomplete="off" defaultValue=${value} /></label>`;
