// The search box of a log: how many hits, and the way from one to the next.

import { html, useEffect, useState } from "../vendor/core.js";
import { get } from "../lib/api.js";

const [FIRST, MORE] = [200, 1000]; // hits that are fetched at once
const NONE = { hits: [], total: 0, estimate: false, next: null, at: -1, error: null, busy: false, done: false };

/** The search in one log: what is looked for, the hits, and which of them one is at. */
export function useSearch(run, step, stream) {
  const [state, setState] = useState({ text: "", regex: false, ...NONE });
  useEffect(() => {
    setState((before) => ({ ...before, ...NONE }));
  }, [JSON.stringify(run), step, stream]);
  const ask = async (more) => {
    if (!state.text) return null;
    setState((before) => ({ ...before, busy: true }));
    try {
      const query = { q: state.text, step, stream, regex: state.regex || null, limit: more ? MORE : FIRST, after: more };
      const found = await get([...run, "log", "search"], query);
      const hits = more ? [...state.hits, ...found.hits] : found.hits;
      const total = more ? { total: Math.max(state.total, hits.length) } : { total: found.total, estimate: found.isEstimate ?? false };
      const at = more ? state.hits.length : 0;
      const answer = { ...total, hits, next: found.next ?? null, at: hits.length ? Math.min(at, hits.length - 1) : -1, error: null, busy: false, done: true };
      setState((now) => (now.text === state.text && now.regex === state.regex ? { ...now, ...answer } : { ...now, busy: false })); // typed on meanwhile
      return hits[at] ?? null;
    } catch (error) {
      setState((before) => ({ ...before, ...NONE, error }));
      return null;
    }
  };
  const move = async (way) => {
    if (!state.hits.length) return null;
    if (way > 0 && state.at === state.hits.length - 1 && state.next) return ask(state.next);
    const at = (state.at + way + state.hits.length) % state.hits.length;
    setState({ ...state, at });
    return state.hits[at];
  };
  return { ...state, setState, find: () => ask(null), move, current: state.hits[state.at] ?? null, pattern: state.hits.length ? patternOf(state) : null };
}

function patternOf({ text, regex }) {
  try {
    return new RegExp(regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  } catch {
    return null; // the server's regular expressions are not quite the browser's
  }
}

export function SearchBar({ search, onGo }) {
  const move = async (way) => {
    const hit = await search.move(way);
    if (hit) onGo(hit.line);
  };
  const submit = async (event) => {
    event.preventDefault();
    if (search.busy) return;
    if (search.hits.length) return move(1);
    const hit = await search.find();
    if (hit) onGo(hit.line);
  };
  const back = (event) => {
    if (event.key !== "Enter" || !event.shiftKey || !search.hits.length) return;
    event.preventDefault();
    move(-1);
  };
  const change = (changes) => search.setState((before) => ({ ...before, ...changes, ...NONE }));
  return html`<form class="log-search" role="search" onSubmit=${submit}>
    <input type="search" aria-label="Search this log" placeholder="Search this log" onKeyDown=${back} value=${search.text} onInput=${(event) => change({ text: event.target.value })} />
    <label class="inline" title="Search for a regular expression"><input type="checkbox" checked=${search.regex} onChange=${(event) => change({ regex: event.target.checked })} />.*</label>
    <button type="button" class="quiet" aria-label="Previous hit" disabled=${!search.hits.length} onClick=${() => move(-1)}>↑</button>
    <button type="button" class="quiet" aria-label="Next hit" disabled=${!search.hits.length} onClick=${() => move(1)}>↓</button>
    <span class=${search.error ? "bad" : "faint number"} role="status">${outcome(search)}</span>
  </form>`;
}

function outcome({ text, hits, total, estimate, at, error, busy, done }) {
  if (busy) return "searching…";
  if (error) return error.message;
  if (hits.length) return `${(at + 1).toLocaleString("en")} of ${total.toLocaleString("en")}${estimate ? " or more" : ""}`;
  return text && done ? "no hits" : "";
}
