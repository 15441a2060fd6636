// A field with a list of options: arrow keys choose, Enter takes, Escape closes; the focus stays in the field.

import { html, useEffect, useId, useRef, useState } from "../vendor/core.js";

/** @import { ComboboxProps, Option } from "../../types/ui" */

const STEPS = /** @type {Record<string, number>} */ ({ ArrowDown: 1, ArrowUp: -1 });

/** @param {ComboboxProps & { [attribute: string]: unknown }} props the others are attributes of the field */
export function Combobox({ label, value, options, onInput, onChoose, onEnter, onLeave, always = false, ...rest }) {
  const id = useId();
  const list = useRef(/** @type {HTMLElement | null} */ (null));
  const [open, setOpen] = useState(false);
  const [chosen, setChosen] = useState(/** @type {string | null} */ (null));
  const shown = (open || always) && options.length > 0;
  const known = options.findIndex(({ key }) => key === chosen);
  const at = known < 0 && always ? 0 : known;
  useEffect(() => list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" }), [at]);
  const write = (/** @type {{ currentTarget: HTMLInputElement }} */ { currentTarget: field }) => {
    setOpen(true);
    setChosen(null);
    onInput(field.value, field.selectionStart ?? field.value.length);
  };
  const take = (/** @type {string} */ key) => setOpen(onChoose(key) === true);
  const press = (/** @type {Targeted<KeyboardEvent, HTMLInputElement>} */ event) => {
    const step = STEPS[event.key];
    if (step) {
      event.preventDefault();
      setOpen(true);
      const next = at < 0 && step < 0 ? options.length - 1 : (at + step + options.length) % options.length;
      setChosen(options[next]?.key ?? null);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (shown && at >= 0) return take(options[at].key);
      setOpen(false);
      onEnter?.();
    } else if (event.key === "Escape" && shown && !always) {
      event.preventDefault();
      setOpen(false);
    }
  };
  const leave = () => {
    setOpen(false);
    onLeave?.();
  };
  const groups = Map.groupBy(options.map((option, index) => ({ ...option, index })), ({ group = "" }) => group);
  const optionOf = (/** @type {Option & { index: number }} */ { key, title, hint, index }) => html`<div key=${key}
    role="option" id=${`${id}-${index}`} aria-selected=${index === at} onClick=${() => take(key)}>
    <span>${title}</span>${hint && html`<small>${hint}</small>`}</div>`;
  return html`<div class="combobox">
    <input type="text" role="combobox" aria-label=${label} aria-autocomplete="list" aria-expanded=${shown}
      aria-controls=${`${id}-list`} aria-activedescendant=${shown && at >= 0 ? `${id}-${at}` : undefined}
      autocomplete="off" autocapitalize="off" spellcheck=${false} value=${value} onInput=${write} onClick=${write}
      onFocus=${write} onKeyDown=${press} onBlur=${leave} ...${rest} />
    ${shown && html`<div role="listbox" id=${`${id}-list`} aria-label=${label} ref=${list}
      onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${[...groups].map(([group, found]) => (group
        ? html`<div role="group" key=${group} aria-label=${group}><small class="group">${group}</small>
          ${found.map(optionOf)}</div>` : found.map(optionOf)))}</div>`}
  </div>`;
}
