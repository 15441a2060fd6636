// Search box of a log: number of hits, and navigation between them.

import { html, useEffect, useState } from "../vendor/core.js";
import { asError, get } from "../lib/api.js";
import { Toggle } from "./basic.js";

/** @import { Outcome, State } from "../../types/ui" */

const [FIRST, MORE] = [200, 1000]; // hits per request
/** @typedef {ReturnType<typeof useSearch>} Search */

/** @type {Outcome} */
const NONE = { hits: [], total: 0, estimate: false, next: null, at: -1, error: null, busy: false, done: false };

/**
 * State of the search in the output of a step or of all steps: text, hits and the current hit.
 * @param {import("../../types/ui").RunPath} run
 * @param {{ step?: string, stream: Stream | null, merged?: boolean | null, subRuns?: boolean }} where
 */
export function useSearch(run, where) {
  const [state, setState] = useState(/** @type {State} */ ({ text: "", regex: false, ...NONE }));
  useEffect(() => {
    setState((before) => ({ ...before, ...NONE }));
  }, [JSON.stringify([run, where])]);
  const search = async (/** @type {string | null} */ more) => {
    if (!state.text) return null;
    setState((before) => ({ ...before, busy: true }));
    try {
      const { text, regex } = state;
      const query = { ...where, q: text, regex: regex || null, limit: more ? MORE : FIRST, after: more };
      const found = await get([...run, "log", "search"], query);
      const before = more ? state : NONE;
      const hits = [...before.hits, ...found.hits];
      const at = Math.min(before.hits.length, hits.length - 1);
      const total = Math.max(before.total, found.total ?? hits.length);
      const estimate = more ? state.estimate : (found.isEstimate ?? false);
      const answer = { hits, total, estimate, at, next: found.next ?? null, error: null, busy: false, done: true };
      // The text may have changed since.
      setState((now) => ({ ...now, ...(now.text === text && now.regex === regex ? answer : { busy: false }) }));
      return hits[before.hits.length] ?? null;
    } catch (error) {
      setState((before) => ({ ...before, ...NONE, error: asError(error) }));
      return null;
    }
  };
  const move = async (/** @type {number} */ way) => {
    if (!state.hits.length) return null;
    if (way > 0 && state.at === state.hits.length - 1 && state.next) return search(state.next);
    const at = (state.at + way + state.hits.length) % state.hits.length;
    setState({ ...state, at });
    return state.hits[at];
  };
  const current = state.hits[state.at] ?? null;
  return { ...state, setState, find: () => search(null), move, current, pattern: current && patternOf(state) };
}

/** @param {{ text: string, regex: boolean }} search */
function patternOf({ text, regex }) {
  try {
    return new RegExp(regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  } catch {
    return null; // the syntax of the server's regular expressions differs from the browser's
  }
}

/** @param {{ search: Search, onGo: (hit: Api.LogHit) => void }} props */
export function SearchBar({ search, onGo }) {
  const move = async (/** @type {number} */ way) => {
    const hit = await search.move(way);
    if (hit) onGo(hit);
  };
  const submit = async (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    if (search.busy) return;
    if (search.hits.length) return move(1);
    const hit = await search.find();
    if (hit) onGo(hit);
  };
  const back = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Enter" || !event.shiftKey || !search.hits.length) return;
    event.preventDefault();
    move(-1);
  };
  const change = (/** @type {Partial<State>} */ changes) =>
    search.setState((before) => ({ ...before, ...changes, ...NONE }));
  return html`<form class="log-search" role="search" onSubmit=${submit}>
    <input type="search" aria-label="Search this log" placeholder="Search this log" onKeyDown=${back}
      value=${search.text} onInput=${(/** @type {InputChange} */ event) => change({ text: event.target.value })} />
    <${Toggle} name="Regex" title="Take the text as a regular expression" on=${search.regex}
      onSet=${(/** @type {boolean} */ regex) => change({ regex })} />
    <button type="button" class="quiet" aria-label="Previous hit" disabled=${!search.hits.length}
      onClick=${() => move(-1)}>↑</button>
    <button type="button" class="quiet" aria-label="Next hit" disabled=${!search.hits.length} onClick=${() => move(1)}>
      ↓</button>
    <span class=${search.error ? "bad" : "faint number"} role="status">${outcome(search)}</span></form>`;
}

/** @param {State} search */
function outcome({ text, hits, total, estimate, at, error, busy, done }) {
  if (busy) return "searching…";
  if (error) return error.message;
  const shown = `${(at + 1).toLocaleString("en")} of ${total.toLocaleString("en")}`;
  if (hits.length) return estimate ? `${shown} or more` : shown;
  return text && done ? "no hits" : "";
}
