// Button and key for the list of keyboard shortcuts.

import { html, useState } from "../vendor/core.js";
import { path } from "../lib/router.js";
import { shortcutsFor, useKey } from "../lib/shortcuts.js";
import { Dialog, Icon } from "./basic.js";

export function Shortcuts() {
  const [open, setOpen] = useState(false);
  useKey("?", () => setOpen(true));
  return html`<button type="button" class="quiet" aria-label="Keyboard shortcuts" aria-keyshortcuts="?"
      title="Keyboard shortcuts (?)" onClick=${() => setOpen(true)}><${Icon} name="help" /></button>
    ${open && html`<${Dialog} title="Keyboard shortcuts" onClose=${() => setOpen(false)}>
      <div class="body shortcuts">
        ${shortcutsFor(path.value).map(({ title, page, keys }) => html`<section key=${title} aria-label=${title}>
          <h3>${title}${page?.test(path.value) && html` <span class="tag">this page</span>`}</h3>
          <dl>${keys.map(([names, does]) => html`<div key=${does}>
            <dt>${names.map((name) => html`<kbd key=${name}>${name}</kbd>`)}</dt><dd>${does}</dd></div>`)}</dl>
        </section>`)}
      </div><//>`}`;
}
