// Output of a step as a virtual list with exact line numbers.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { url } from "../lib/api.js";
import { pieces, settled } from "../lib/ansi.js";
import { plural } from "../lib/format.js";
import { BLOCK, LogLines } from "../lib/loglines.js";
import { hash, setHash } from "../lib/router.js";
import { headers } from "../lib/session.js";
import { useChanges, useEndOf } from "../lib/use-api.js";
import { firstAround } from "../lib/virtual-list.js";
import { Empty, Failure } from "./basic.js";
import { Icon } from "./icon.js";
import { SearchBar, useSearch } from "./logsearch.js";
import { attempt } from "./notice.js";
import { VirtualList, useVirtualList } from "./virtuallist.js";

/** @typedef {import("../lib/ansi.js").Style} Style */

/** @type {Stream[]} */
const STREAMS = ["stdout", "stderr"];
const LONGEST = 4000; // characters of a line, until the user expands it

/**
 * The log of a step.
 * @param {object} props
 * @param {import("../lib/loglines.js").LogPath} props.path of the step's log below /api/v2
 * @param {import("../lib/runs.js").RunPath} props.run the path of its run, for the search
 * @param {string} props.step the step's name
 * @param {Stream} props.stream
 * @param {(stream: Stream) => void} props.onStream
 * @param {boolean} props.active whether there may be more output
 * @param {Concerns} props.concerns
 * @param {boolean} props.atError open at the last error
 */
export function LogView({ path, run, step, stream, onStream, active, concerns, atError }) {
  const [, redraw] = useState(0);
  const [wrap, setWrap] = useState(false);
  const key = JSON.stringify([path, stream]);
  const lines = useMemo(() => new LogLines(path, stream, () => redraw((count) => count + 1)), [key]);
  const total = lines.total ?? 0;
  const linked = lineOf(hash.value);
  const search = useSearch(run, step, stream);
  const list = useVirtualList({
    total,
    active,
    start: (rows) => (linked ? firstAround(total, rows, linked) : atError ? Math.max(1, total - rows + 1) : 1),
  });
  const { follow, from, to } = list;

  useEffect(() => {
    list.restart(active);
    lines.want(1, 1);
    return () => lines.close();
  }, [lines]);
  useChanges(active ? concerns : null, () => lines.grow());
  useEndOf(active, () => lines.grow());
  useEffect(() => {
    if (total) lines.want(from, Math.min(total, to + BLOCK / 4));
  }, [lines, from, to, total]);

  const go = (/** @type {number} */ line) => {
    setHash(`L${line}`);
    // The search may respond before the log is loaded: then it starts at the line of the address. Or the log was loaded
    // during the search, which knows only the number of lines before.
    if (lines.total === null) list.restart(false);
    else list.show(line, lines.total);
  };

  const lastInSight = list.printing ? to : Math.min(total, from + list.rows - 1);
  const hit = search.current?.line;
  const other = stream === "stdout" ? "stderr" : "stdout";
  return html`<section class="log" aria-label=${`Output of ${step}`}>
    <div class="log-bar">
      <div class="switch" role="group" aria-label="Stream">
        ${STREAMS.map((name) => html`<button type="button" key=${name} aria-pressed=${stream === name}
          onClick=${() => onStream(name)}>${name}</button>`)}
      </div>
      <${SearchBar} search=${search} onGo=${go} />
      ${active && html`<label class="inline" title="Scroll to new lines as they come; scrolling up pauses this">
        <input type="checkbox" checked=${follow}
          onChange=${(/** @type {InputChange} */ event) => list.setFollow(event.target.checked)} />
        Follow</label>`}
      <label class="inline" title="Break long lines">
        <input type="checkbox" checked=${wrap}
          onChange=${(/** @type {InputChange} */ event) => setWrap(event.target.checked)} />Wrap</label>
      <button type="button" class="quiet" title="Download the whole log" aria-label="Download this log"
        onClick=${() => attempt(() => download(path, stream, step))}><${Icon} name="down" /></button>
    </div>
    ${lines.error && html`<${Failure} error=${lines.error} retry=${() => lines.want(from, to)} />`}
    <${VirtualList} list=${list} class="log-scroll"
      rowsClass=${wrap ? "wrap" : ""} label="Log lines"
      row=${(/** @type {number} */ number) => html`<${Line} key=${number} number=${number} text=${lines.line(number)}
        style=${lines.styleOf(number)} linked=${number === linked} hit=${number === hit} pattern=${search.pattern}
        onLink=${go} />`}>
      ${lines.total === 0 && html`<${Empty} title=${active ? "No output yet" : `The step wrote nothing to ${stream}`}>
        <p>${active ? "Lines appear here as the step writes them." : html`<button type="button"
            onClick=${() => onStream(other)}>Show ${other}</button>`}</p><//>`}
    <//>
    <div class="log-foot">
      <span class="number">${plural(total, "line")}</span>
      ${total > list.rows && html`<span class="number">
        Showing ${from.toLocaleString("en")}–${lastInSight.toLocaleString("en")}</span>`}
      ${active && !follow && total > 0 && html`<span>Following is paused</span>`}
      <span class="grow"></span>
      ${total > list.rows && html`<${GoTo} total=${total} onGo=${go} />`}
    </div>
  </section>`;
}

/** @param {string} fragment */
function lineOf(fragment) {
  const match = /^#L(\d+)$/.exec(fragment);
  return match ? Number(match[1]) : null;
}

/**
 * @param {{ number: number, text?: string, style?: Style, linked: boolean, hit: boolean, pattern: RegExp | null,
 *   onLink: (line: number) => void }} props
 */
function Line({ number, text, style, linked, hit, pattern, onLink }) {
  const [whole, setWhole] = useState(false);
  const classes = ["log-line", linked && "linked", hit && "hit"].filter(Boolean).join(" ");
  const state = whole ? (text ?? "") : settled(text ?? "");
  const shown = whole ? state : state.slice(0, LONGEST);
  const hidden = (text ?? "").length - shown.length;
  return html`<div class=${classes}>
    <a class="log-number" href=${`#L${number}`} aria-label=${`Link to line ${number}`}
      onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      onLink(number);
    }}>${number}</a>
    <span class=${whole ? "log-text whole" : "log-text"}>
      ${text === undefined ? html`<span class="faint">…</span>`
        : pieces(shown, style).map(({ text: part, style: own }, index) => html`<span key=${index}
          class=${classesOf(own)} style=${styleOf(own)}>${marked(part, pattern)}</span>`)}
          ${hidden > 0 && html` <button type="button"
            title=${state === text ? "" : "The program overwrote this line; show everything that it wrote"}
            onClick=${() => setWhole(true)}>
            Show ${plural(hidden, "more character", "more characters")}</button>`}${"\n"}</span>
  </div>`;
}

/** @param {Style | null} style */
function classesOf(style) {
  if (!style) return "";
  const { front, back } = seen(style);
  /** @param {string | null} color @param {string} kind */
  const named = (color, kind) => (color && !color.startsWith("rgb") ? `${kind}-${color}` : "");
  return [
    style.bold && "b",
    style.faint && "f",
    style.italic && "i",
    style.underline && "u",
    style.struck && "s",
    style.inverse && "inv",
    named(front, "fg"),
    named(back, "bg"),
  ]
    .filter(Boolean)
    .join(" ");
}

/** @param {Style | null} style */
function styleOf(style) {
  if (!style) return {};
  const { front, back } = seen(style);
  /** @type {{ color?: string, backgroundColor?: string }} */
  const found = {};
  if (front?.startsWith("rgb")) found.color = front;
  if (back?.startsWith("rgb")) found.backgroundColor = back;
  if (back?.startsWith("rgb") && !front) found.color = isLight(back) ? "#17191d" : "#ffffff";
  return found;
}

/**
 * Effective colours: inverse swaps them.
 * @param {{ front: string | null, back: string | null, inverse: boolean }} style
 */
function seen({ front, back, inverse }) {
  return inverse ? { front: back ?? (front ? "black" : null), back: front } : { front, back };
}

/**
 * Whether dark text is more readable on a colour than white text (relative luminance, WCAG).
 * @param {string} color
 */
function isLight(color) {
  const [red, green, blue] = (color.match(/\d+/g) ?? []).map((part) => (Number(part) / 255) ** 2.2);
  return red * 0.2126 + green * 0.7152 + blue * 0.0722 > 0.179;
}

/**
 * The parts of a text, with the matches highlighted.
 * @param {string} text
 * @param {RegExp | null} pattern
 */
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

/** @param {{ total: number, onGo: (line: number) => void }} props */
function GoTo({ total, onGo }) {
  const submit = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    const line = Number(new FormData(event.target).get("line"));
    if (line >= 1) onGo(Math.min(total, line));
  };
  return html`<form onSubmit=${submit}>
    <label class="inline">Go to line <input class="goto" name="line" inputmode="numeric" pattern="[0-9]*" /></label>
    </form>`;
}

/**
 * @param {import("../lib/loglines.js").LogPath} path
 * @param {Stream} stream
 * @param {string} step
 */
async function download(path, stream, step) {
  const response = await fetch(url([...path.slice(0, -1), "log", "download"], { stream }), { headers: headers() });
  if (!response.ok) throw new Error((await response.json()).message);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = `${step}.${stream === "stdout" ? "out" : "err"}`;
  link.click();
  URL.revokeObjectURL(link.href);
}
