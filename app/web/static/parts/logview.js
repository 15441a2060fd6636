// A step's output: exact line numbers, only the lines in sight in the document, however many there are.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { get, headers, url } from "../lib/api.js";
import { pieces } from "../lib/ansi.js";
import { plural } from "../lib/format.js";
import { BLOCK, LogLines } from "../lib/loglines.js";
import { useChanges } from "../lib/load.js";
import { hash, setHash } from "../lib/router.js";
import { Empty, Failure } from "./basic.js";
import { Icon } from "./icon.js";
import { attempt } from "./notice.js";

const HEIGHT = 20; // pixels of a line that is not wrapped
const TALLEST = 15_000_000; // pixels: more than that browsers do not draw

/**
 * The log of a step.
 * @param path of the step's log below /api/v2; @param run the path of its run, for the search
 * @param step the step's name; @param active whether more may come; @param atError open at the last error
 */
export function LogView({ path, run, step, stream, onStream, active, concerns, atError }) {
  const [, redraw] = useState(0);
  const [wrap, setWrap] = useState(false);
  const [follow, setFollow] = useState(active);
  const [top, setTop] = useState(null);
  const [rows, setRows] = useState(30);
  const box = useRef();
  const key = JSON.stringify([path, stream]);
  const lines = useMemo(() => new LogLines(path, stream, () => redraw((count) => count + 1)), [key]);
  const total = lines.total ?? 0;
  const last = Math.max(1, total - rows + 1);
  const linked = lineOf(hash.value);
  const search = useSearch(run, step, stream);

  useEffect(() => {
    setTop(null);
    setFollow(active);
    lines.want(1, 1);
    return () => lines.close();
  }, [lines]);
  useChanges(active ? concerns : null, () => lines.grow());
  const wasActive = useRef(active);
  useEffect(() => {
    if (wasActive.current && !active) lines.grow(); // the last lines come with the end
    wasActive.current = active;
  }, [active, lines]);

  const first = top === null ? start({ total, rows, follow, linked, atError }) : Math.min(top, last);
  const shownFrom = Math.max(1, Math.floor(first));
  const shownTo = Math.min(total, shownFrom + rows);
  useEffect(() => {
    if (total) lines.want(shownFrom, Math.min(total, shownTo + BLOCK / 4));
  }, [lines, shownFrom, shownTo, total]);
  useEffect(() => {
    if (follow && total) setTop(last);
  }, [follow, total, last]);

  useLayoutEffect(() => {
    const measure = () => setRows(Math.max(5, Math.ceil(box.current.clientHeight / HEIGHT)));
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    measure();
    return () => observer.disconnect();
  }, []);
  const height = Math.min(Math.max(total * HEIGHT, 1), TALLEST);
  // Pixels of a line in the scroll bar: in one that is squeezed the last line must still be at its very end.
  const pitch = () => (total * HEIGHT <= TALLEST ? HEIGHT : (height - box.current.clientHeight) / Math.max(1, last - 1));
  useLayoutEffect(() => {
    const wanted = (first - 1) * pitch();
    // Within a line it is where somebody scrolls just now, and to set it would stop them.
    if (Math.abs(box.current.scrollTop - wanted) > pitch() + 1) box.current.scrollTop = wanted;
  }, [first, height, total]);

  const scrolled = () => {
    const element = box.current;
    const moved = Math.abs(element.scrollTop - (first - 1) * pitch());
    const atEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 2;
    const line = atEnd ? last : Math.floor(element.scrollTop / pitch()) + 1;
    // Browsers round to pixels, which are many lines of a very long log: that is no scrolling.
    if (moved < 1.5 || Math.abs(line - first) < 1) return;
    setTop(line);
    setFollow(active && atEnd);
  };
  const go = (line) => {
    setFollow(false);
    setHash(`L${line}`);
    setTop(Math.max(1, Math.min(last, line - Math.floor(rows / 3))));
  };

  const numbers = [];
  for (let number = shownFrom; number <= shownTo; number += 1) numbers.push(number);
  const hit = search.current?.line;
  return html`<section class="log" aria-label=${`Output of ${step}`}>
    <div class="log-bar">
      <div class="switch" role="group" aria-label="Stream">
        ${["stdout", "stderr"].map((name) => html`<button type="button" key=${name} aria-pressed=${stream === name} onClick=${() => onStream(name)}>${name}</button>`)}
      </div>
      <${SearchBar} search=${search} onGo=${go} />
      <span class="grow"></span>
      <span class="faint number">${plural(total, "line")}</span>
      ${active && html`<label class="inline"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />Follow</label>`}
      <label class="inline"><input type="checkbox" checked=${wrap} onChange=${(event) => setWrap(event.target.checked)} />Wrap</label>
      <${GoTo} total=${total} onGo=${go} />
      <button type="button" class="quiet" title="Download" aria-label="Download this log" onClick=${() => attempt(() => download(path, stream, step))}><${Icon} name="down" /></button>
    </div>
    ${lines.error && html`<${Failure} error=${lines.error} retry=${() => lines.want(shownFrom, shownTo)} />`}
    <div class="log-scroll" ref=${box} tabindex="0" role="region" aria-label="Log lines" onScroll=${scrolled}>
      <div class="log-height" style=${{ height: `${height}px` }}>
        <div class=${wrap ? "log-lines wrap" : "log-lines"}>
          ${numbers.map((number) => html`<${Line} key=${number} number=${number} text=${lines.line(number)} linked=${number === linked} hit=${number === hit} pattern=${search.pattern} onLink=${go} />`)}
        </div>
      </div>
      ${lines.total === 0 && html`<${Empty} title=${active ? "Nothing written yet" : `Nothing on ${stream}`}>${active ? "Lines show here as the step writes them." : "The step wrote nothing to this stream."}<//>`}
    </div>
  </section>`;
}

function start({ total, rows, follow, linked, atError }) {
  if (linked) return Math.max(1, Math.min(total - rows + 1, linked - Math.floor(rows / 3)));
  return follow || atError ? Math.max(1, total - rows + 1) : 1;
}

function lineOf(fragment) {
  const match = /^#L(\d+)$/.exec(fragment);
  return match ? Number(match[1]) : null;
}

function Line({ number, text, linked, hit, pattern, onLink }) {
  const classes = ["log-line", linked && "linked", hit && "hit"].filter(Boolean).join(" ");
  return html`<div class=${classes}>
    <a class="log-number" href=${`#L${number}`} aria-label=${`Link to line ${number}`} onClick=${(event) => {
      event.preventDefault();
      onLink(number);
    }}>${number}</a>
    <span class="log-text">${text === undefined ? html`<span class="faint">…</span>` : pieces(text).map(({ text: part, style }, index) => html`<span key=${index} class=${classesOf(style)} style=${styleOf(style)}>${marked(part, pattern)}</span>`)}${"\n"}</span>
  </div>`;
}

function classesOf(style) {
  if (!style) return "";
  const named = (color, kind) => (color && !color.startsWith("rgb") ? `${kind}-${color}` : "");
  return [style.bold && "b", style.faint && "f", style.italic && "i", style.underline && "u", named(style.front, "fg"), named(style.back, "bg")]
    .filter(Boolean)
    .join(" ");
}

function styleOf(style) {
  const found = {};
  if (style?.front?.startsWith("rgb")) found.color = style.front;
  if (style?.back?.startsWith("rgb")) found.backgroundColor = style.back;
  return found;
}

/** The parts of a text, with what is searched for marked. */
function marked(text, pattern) {
  if (!pattern) return text;
  const found = [];
  let done = 0;
  for (const match of text.matchAll(pattern)) {
    if (!match[0]) break;
    found.push(text.slice(done, match.index), html`<mark>${match[0]}</mark>`);
    done = match.index + match[0].length;
  }
  return [...found, text.slice(done)];
}

function GoTo({ total, onGo }) {
  const submit = (event) => {
    event.preventDefault();
    const line = Number(new FormData(event.target).get("line"));
    if (line >= 1) onGo(Math.min(total, line));
  };
  return html`<form onSubmit=${submit}><input class="goto" name="line" inputmode="numeric" pattern="[0-9]*" placeholder="line" aria-label="Go to line" /></form>`;
}

function useSearch(run, step, stream) {
  const [state, setState] = useState({ text: "", regex: false, hits: [], total: 0, at: -1, error: null, busy: false });
  useEffect(() => {
    setState((before) => ({ ...before, hits: [], total: 0, at: -1, error: null }));
  }, [JSON.stringify(run), step, stream]);
  const find = async () => {
    if (!state.text) return null;
    setState((before) => ({ ...before, busy: true }));
    try {
      const query = { q: state.text, step, stream, regex: state.regex || null, limit: 1000 };
      const found = await get([...run, "log", "search"], query);
      const next = { ...state, hits: found.hits, total: found.total, at: found.hits.length ? 0 : -1, error: null, busy: false };
      setState(next);
      return next.hits[0] ?? null;
    } catch (error) {
      setState((before) => ({ ...before, hits: [], total: 0, at: -1, error, busy: false }));
      return null;
    }
  };
  const move = (step_) => {
    if (!state.hits.length) return null;
    const at = (state.at + step_ + state.hits.length) % state.hits.length;
    setState({ ...state, at });
    return state.hits[at];
  };
  return { ...state, setState, find, move, current: state.hits[state.at] ?? null, pattern: state.hits.length ? patternOf(state) : null };
}

function patternOf({ text, regex }) {
  try {
    return new RegExp(regex ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  } catch {
    return null; // the server's regular expressions are not quite the browser's
  }
}

function SearchBar({ search, onGo }) {
  const submit = async (event) => {
    event.preventDefault();
    const hit = search.hits.length ? search.move(1) : await search.find();
    if (hit) onGo(hit.line);
  };
  const change = (changes) => search.setState((before) => ({ ...before, ...changes, hits: [], total: 0, at: -1, error: null }));
  const move = (step) => {
    const hit = search.move(step);
    if (hit) onGo(hit.line);
  };
  return html`<form class="log-search" role="search" onSubmit=${submit}>
    <input type="search" aria-label="Search this log" placeholder="Search this log" value=${search.text} onInput=${(event) => change({ text: event.target.value })} />
    <label class="inline" title="Regular expression"><input type="checkbox" checked=${search.regex} onChange=${(event) => change({ regex: event.target.checked })} />.*</label>
    <button type="button" class="quiet" aria-label="Previous hit" disabled=${!search.hits.length} onClick=${() => move(-1)}>↑</button>
    <button type="button" class="quiet" aria-label="Next hit" disabled=${!search.hits.length} onClick=${() => move(1)}>↓</button>
    <span class="faint number" role="status">${outcome(search)}</span>
  </form>`;
}

function outcome({ text, hits, total, at, error, busy }) {
  if (busy) return "searching…";
  if (error) return error.message;
  if (hits.length) return `${at + 1} of ${total}${total > hits.length ? "+" : ""}`;
  return text ? "" : "";
}

async function download(path, stream, step) {
  const response = await fetch(url([...path.slice(0, -1), "log", "download"], { stream }), { headers: headers() });
  if (!response.ok) throw new Error((await response.json()).message);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${step}.${stream === "stdout" ? "out" : "err"}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
