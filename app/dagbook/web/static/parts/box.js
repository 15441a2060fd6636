// The box of all pages: it finds DAGs, runs, parameters, users and pages while typing, and offers what can be done.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { askedFor, optionsFor } from "../lib/box.js";
import { short } from "../lib/format.js";
import { go } from "../lib/router.js";
import { MOD, useKey } from "./shortcuts.js";
import { useApi } from "../lib/use-api.js";
import { Dialog, Icon, StatusIcon, Time } from "./basic.js";
import { Combobox } from "./combobox.js";
import { attempt } from "./notice.js";

const TYPING = 120; // milliseconds without a key press before the server is asked for runs

/** @typedef {readonly string[][]} Places address and name of each page that the user sees */

/** @param {{ places: Places }} props */
export function Box({ places }) {
  const [open, setOpen] = useState(false);
  useKey("k", () => setOpen(true), { mod: true });
  useKey("/", () => {
    /** @type {HTMLElement | null} */
    const filter = document.querySelector(".filter input");
    if (filter) filter.focus();
    else setOpen(true);
  });
  return html`<button type="button" class="box-button" aria-label="Search or go to" aria-haspopup="dialog"
      aria-keyshortcuts="Control+K Meta+K" onClick=${() => setOpen(true)}>
      <${Icon} name="search" /><span>Search or go to…</span><kbd>${MOD} K</kbd></button>
    ${open && html`<${BoxDialog} places=${places} onClose=${() => setOpen(false)} />`}`;
}

/**
 * What was found last, which is offered as far as it fits while the next is loaded.
 * @param {Api.NameMatches | null} data
 * @param {string} asked
 */
function useKept(data, asked) {
  const kept = useRef(data);
  if (data || !asked) kept.current = data;
  return kept.current;
}

/** @param {{ places: Places, onClose: () => void }} props */
function BoxDialog({ places, onClose }) {
  const [typed, setTyped] = useState("");
  const { name } = askedFor(typed);
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(name), TYPING);
    return () => clearTimeout(timer);
  }, [name]);
  const loaded = useApi(asked ? "search" : null, { q: asked });
  const all = useKept(loaded.data, asked);
  const named = useKept(useApi(name ? "search" : null, { q: name, runs: false }).data, name); // with each key
  const found = all && named ? { ...all, dags: named.dags, users: named.users } : all ?? named;
  const pending = name !== asked || loaded.loading;
  const options = optionsFor(typed, { places, found });
  const waits = useRef(false);
  const choose = (/** @type {string} */ key) => {
    const option = options.find((one) => one.key === key);
    // A name and Enter, typed at once, mean what has this name, which is not there yet.
    waits.current = pending && option?.group === "Search";
    if (!option || waits.current) return;
    onClose();
    const { to = "/", search, schedule } = option;
    if (!schedule) return go(to, { search });
    const { fileName, suspend } = schedule;
    attempt(() => post(["dags", fileName, "suspend"], { suspend }),
      `The schedule of ${fileName} is ${suspend ? "suspended" : "resumed"}.`);
  };
  useEffect(() => {
    if (waits.current && !pending) choose(options[0].key);
  }, [pending]);
  const type = (/** @type {string} */ text) => {
    waits.current = false;
    setTyped(text);
  };
  return html`<${Dialog} title="Search or go to" onClose=${onClose}>
    <div class="body box">
      <${Combobox} label="Search or go to" always value=${typed} onInput=${type} onChoose=${choose} maxlength="200"
        placeholder="a name, the beginning of a run id, a parameter, a page, start NAME"
        options=${options.map(({ run, ...option }) => ({ ...option, ...(run && {
          title: html`<${StatusIcon} of=${run.status} waiting=${run.waitingForApproval} /> ${option.title}`,
          hint: html`${short(option.hint ?? "")} · <${Time} at=${run.startedAt || run.queuedAt} />`,
        }) }))} />
      <p class=${loaded.error ? "bad" : "faint"} role="status">
        ${loaded.error?.message ?? html`<kbd>↑</kbd> <kbd>↓</kbd> choose, <kbd>Enter</kbd> opens`}</p></div><//>`;
}
