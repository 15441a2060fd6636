// The filter of a list: a box for its text, which is the `q` of the address, and quick filters that write into it.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { namesOf, partsOf, queryFor, readFilter, suggestionsAt, textIn, withPart } from "../lib/filter-text.js";
import { query, setQuery } from "../lib/router.js";
import { useApi } from "../lib/use-api.js";
import { Empty, Icon, Select } from "./basic.js";
import { Combobox } from "./combobox.js";

/** @import { Filter, FilterKeys, ReadFilter } from "../../types/ui" */

const TYPING = 300; // milliseconds without a key press before the list is loaded
const MOST = 2000; // characters

/**
 * The filter in the address; `params` are those of the API, and stay the same until the text is another one.
 * @param {FilterKeys} keys
 * @returns {Filter}
 */
export function useFilter(keys) {
  const text = textIn(query.value, keys);
  return useMemo(() => ({ keys, text, ...readFilter(text, keys) }), [text]);
}

/** `children` are other controls of the list. @param {{ label: string, filter: Filter, children?: Children }} props */
export function FilterBox({ label, filter: { keys: declared, text, problems }, children }) {
  const [typed, setTyped] = useState(text);
  const [caret, setCaret] = useState(/** @type {number | null} */ (null));
  const tags = useApi(caret !== null && declared.tag ? "dags/tags" : null);
  const keys = useMemo(() => withTags(declared, tags.data?.tags ?? []), [tags.data]);
  const timer = useRef(/** @type {number | undefined} */ (undefined));
  const own = useRef(text); // what this box has put into the address
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const completed = useRef(/** @type {number | null} */ (null)); // where the caret goes
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (text !== own.current) setTyped((own.current = text));
  }, [text]);
  const apply = (/** @type {string} */ next, replace = true) => {
    clearTimeout(timer.current);
    own.current = next.trim();
    if (own.current !== text && box.current) setQuery(queryFor(own.current, keys), { replace });
  };
  const set = (/** @type {string} */ next) => {
    setTyped(next);
    apply(next, false);
  };
  const type = (/** @type {string} */ value, /** @type {number} */ at) => {
    setCaret(at);
    if (value === typed) return;
    setTyped(value);
    clearTimeout(timer.current);
    // What is not written to its end is no mistake yet.
    timer.current = setTimeout(() => readFilter(value, keys).problems.length || apply(value), TYPING);
  };
  const clear = () => {
    set("");
    box.current?.querySelector("input")?.focus();
  };
  const names = namesOf(declared);
  const { at, end, found } = suggestionsAt(typed, caret ?? 0, keys);
  const complete = (/** @type {string} */ key) => {
    const next = typed.slice(0, at) + key + typed.slice(end).trimStart();
    const behind = at + key.length;
    if (next !== typed || behind !== caret) completed.current = behind;
    type(next, behind);
    if (!key.endsWith(":")) apply(next);
    return key.endsWith(":"); // its values are next
  };
  // In the render that writes the text: any later, and letters that were typed meanwhile would be behind the caret.
  useLayoutEffect(() => {
    if (completed.current === null) return;
    box.current?.querySelector("input")?.setSelectionRange(completed.current, completed.current);
    completed.current = null;
  }, [typed, caret]);
  return html`<div class="filter" role="search" aria-label=${label} ref=${box}>
    <div class="filters">
      <div class="filter-text">
        <${Combobox} label=${label} value=${typed} onInput=${type} onChoose=${complete} onEnter=${() => apply(typed)}
          onLeave=${() => apply(typed)} maxlength=${MOST} aria-keyshortcuts="/" placeholder=${placeholderOf(keys)}
          options=${found.map(({ text: key, meaning }) => ({ key, title: key, hint: meaning }))} />
        ${typed && html`<button type="button" class="quiet" aria-label="Clear the filter" title="Clear the filter"
          onClick=${clear}><${Icon} name="close" /></button>`}</div>
      ${Object.entries(keys).map(([key, { pick, any = "any", values = [], drops }]) => pick && html`<${Pick} key=${key}
        label=${pick} any=${any} values=${values} value=${partsOf(text).findLast((part) => part.key === key)?.value}
        onPick=${(/** @type {string} */ value) =>
          set(withPart(drops ? withPart(typed, drops, null) : typed, key, value))} />`)}
      ${children}
    </div>
    <p class="filter-note ${problems.length ? "bad" : "faint"}" role="status">
      ${problems.length ? problems.join(". ") : `Words are ${declared[""].hint}${names && `; keys: ${names}`}`}</p>
  </div>`;
}

/** What a list shows without a match. @param {{ filter: Filter, what: string }} props */
export function NoMatch({ filter: { keys }, what }) {
  return html`<${Empty} title=${`No ${what} matches this filter`}>
    <p><button type="button" onClick=${() => setQuery(queryFor("", keys))}>Clear the filter</button></p><//>`;
}

/** @param {FilterKeys} keys @param {string[]} tags @returns {FilterKeys} */
const withTags = (keys, tags) =>
  keys.tag ? { ...keys, tag: { ...keys.tag, values: tags.map((tag) => [tag, ""]) } } : keys;

/** @param {FilterKeys} keys */
const placeholderOf = (keys) =>
  Object.entries(keys).slice(0, 4).map(([key, { hint }]) => (key ? `${key}:${hint}` : hint)).join("  ");

/**
 * A quick filter, which also shows a value that it does not offer.
 * @param {{ label: string, any: string, values: [value: string, word: string][], value?: string,
 *   onPick: (value: string) => void }} props
 */
function Pick({ label, any, values, value = "", onPick }) {
  const others = !value || values.some(([one]) => one === value) ? [] : [[value, value]];
  return html`<${Select} aria-label=${label} value=${value} options=${[["", any], ...others, ...values]}
    onSet=${onPick} />`;
}
