// A step's output: exact line numbers, only the lines in sight in the document, however many there are.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/core.js";
import { headers, url } from "../lib/api.js";
import { pieces, settled } from "../lib/ansi.js";
import { plural } from "../lib/format.js";
import { BLOCK, LogLines } from "../lib/loglines.js";
import { useChanges } from "../lib/load.js";
import { hash, setHash } from "../lib/router.js";
import { Empty, Failure } from "./basic.js";
import { Icon } from "./icon.js";
import { SearchBar, useSearch } from "./logsearch.js";
import { attempt } from "./notice.js";

const HEIGHT = 20; // pixels of a line that is not wrapped
const TALLEST = 15_000_000; // pixels: more than that browsers do not draw
const LONGEST = 4000; // characters of a line, before one asks for the others

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
    // A search may be answered before the log itself: then it begins at the line of the address. Or the log came while
    // the search went on, which knows only how many lines there were before.
    const end = (lines.total ?? 0) - rows + 1;
    setTop(lines.total === null ? null : Math.max(1, Math.min(end, line - Math.floor(rows / 3))));
  };

  const numbers = [];
  for (let number = shownFrom; number <= shownTo; number += 1) numbers.push(number);
  const hit = search.current?.line;
  const other = stream === "stdout" ? "stderr" : "stdout";
  return html`<section class="log" aria-label=${`Output of ${step}`}>
    <div class="log-bar">
      <div class="switch" role="group" aria-label="Stream">
        ${["stdout", "stderr"].map((name) => html`<button type="button" key=${name} aria-pressed=${stream === name} onClick=${() => onStream(name)}>${name}</button>`)}
      </div>
      <${SearchBar} search=${search} onGo=${go} />
      ${active && html`<label class="inline" title="Stay at the end while lines come; scrolling up pauses it"><input type="checkbox" checked=${follow} onChange=${(event) => setFollow(event.target.checked)} />Follow</label>`}
      <label class="inline"><input type="checkbox" checked=${wrap} onChange=${(event) => setWrap(event.target.checked)} />Wrap</label>
      <button type="button" class="quiet" title="Download the whole log" aria-label="Download this log" onClick=${() => attempt(() => download(path, stream, step))}><${Icon} name="down" /></button>
    </div>
    ${lines.error && html`<${Failure} error=${lines.error} retry=${() => lines.want(shownFrom, shownTo)} />`}
    <div class="log-scroll" ref=${box} tabindex="0" role="region" aria-label="Log lines" onScroll=${scrolled}>
      <div class="log-height" style=${{ height: `${height}px` }}>
        <div class=${wrap ? "log-lines wrap" : "log-lines"}>
          ${numbers.map((number) => html`<${Line} key=${number} number=${number} text=${lines.line(number)} style=${lines.styleOf(number)} linked=${number === linked} hit=${number === hit} pattern=${search.pattern} onLink=${go} />`)}
        </div>
      </div>
      ${lines.total === 0 && html`<${Empty} title=${active ? "Nothing written yet" : `Nothing on ${stream}`}><p>${active ? "Lines show here as the step writes them." : html`The step wrote nothing to it. <button type="button" onClick=${() => onStream(other)}>Look at ${other}</button>`}</p><//>`}
    </div>
    <div class="log-foot">
      <span class="number">${plural(total, "line")}</span>
      ${total > 0 && html`<span class="number">${shownFrom.toLocaleString("en")} to ${Math.min(total, shownFrom + rows - 1).toLocaleString("en")} in sight</span>`}
      ${active && !follow && total > 0 && html`<span>Following is paused</span>`}
      <span class="grow"></span>
      <${GoTo} total=${total} onGo=${go} />
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

function Line({ number, text, style, linked, hit, pattern, onLink }) {
  const [whole, setWhole] = useState(false);
  const classes = ["log-line", linked && "linked", hit && "hit"].filter(Boolean).join(" ");
  const state = whole || text === undefined ? text : settled(text);
  const shown = whole || text === undefined ? text : state.slice(0, LONGEST);
  const hidden = text === undefined ? 0 : text.length - shown.length;
  return html`<div class=${classes}>
    <a class="log-number" href=${`#L${number}`} aria-label=${`Link to line ${number}`} onClick=${(event) => {
      event.preventDefault();
      onLink(number);
    }}>${number}</a>
    <span class=${whole ? "log-text whole" : "log-text"}>${text === undefined ? html`<span class="faint">…</span>` : pieces(shown, style).map(({ text: part, style: own }, index) => html`<span key=${index} class=${classesOf(own)} style=${styleOf(own)}>${marked(part, pattern)}</span>`)}${hidden > 0 && html` <button type="button" title=${state === text ? "" : "The program wrote over this line; show all that it wrote"} onClick=${() => setWhole(true)}>${hidden.toLocaleString("en")} more ${hidden === 1 ? "character" : "characters"}</button>`}${"\n"}</span>
  </div>`;
}

function classesOf(style) {
  if (!style) return "";
  const { front, back } = seen(style);
  const named = (color, kind) => (color && !color.startsWith("rgb") ? `${kind}-${color}` : "");
  return [style.bold && "b", style.faint && "f", style.italic && "i", style.underline && "u", style.struck && "s", style.inverse && "inv", named(front, "fg"), named(back, "bg")]
    .filter(Boolean)
    .join(" ");
}

function styleOf(style) {
  if (!style) return {};
  const { front, back } = seen(style);
  const found = {};
  if (front?.startsWith("rgb")) found.color = front;
  if (back?.startsWith("rgb")) found.backgroundColor = back;
  if (back?.startsWith("rgb") && !front) found.color = isLight(back) ? "#17191d" : "#ffffff";
  return found;
}

/** Colours as they are seen: inverse ones change places. */
function seen({ front, back, inverse }) {
  return inverse ? { front: back ?? (front ? "black" : null), back: front } : { front, back };
}

/** Whether dark letters read better on a colour than white ones (relative luminance, WCAG). */
function isLight(color) {
  const [red, green, blue] = color.match(/\d+/g).map((part) => (Number(part) / 255) ** 2.2);
  return red * 0.2126 + green * 0.7152 + blue * 0.0722 > 0.179;
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

async function download(path, stream, step) {
  const response = await fetch(url([...path.slice(0, -1), "log", "download"], { stream }), { headers: headers() });
  if (!response.ok) throw new Error((await response.json()).message);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${step}.${stream === "stdout" ? "out" : "err"}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
