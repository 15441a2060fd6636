// One line of output, with what separates it from the line above: the step, the try, the title of a group.

import { html, useState } from "../vendor/core.js";
import { bare, pieces, settled } from "../lib/ansi.js";
import { exact, moment, plural } from "../lib/format.js";
import { groupTitle } from "../lib/output-rows.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { Icon } from "./icon.js";

/** @typedef {import("../lib/ansi.js").Style} Style */
/** @typedef {import("../lib/output-rows.js").OutputRow} OutputRow */
/** @typedef {import("../lib/output-rows.js").Part} Part */
/** @typedef {import("../lib/output-rows.js").Source} Source */

const LONGEST = 4000; // characters of a line, until the user expands it

/**
 * What all lines of a view have in common. Keys are those of lib/use-folding.js.
 * @typedef {object} View
 * @property {RunAddress} address
 * @property {boolean} times whether times show
 * @property {boolean} marks whether lines of stderr are marked
 * @property {number | null} linked number of the line of the address
 * @property {(row: OutputRow) => boolean} isHit
 * @property {RegExp | null} pattern
 * @property {(execution: number) => string | null} titleOf a try, null if there is one only
 * @property {(key: string) => boolean} isFolded
 * @property {(key: string, line: number) => void} onFold
 * @property {((line: number) => void) | null} onLink null: lines link to the output of their steps
 */

/** @param {{ number: number, row?: OutputRow, above?: OutputRow, view: View }} props */
export function OutputLine({ number, row, above, view }) {
  if (!row) return html`<div class="log-line"><span class="log-number">${view.onLink && number}</span>
    <span class="log-text faint">…</span></div>`;
  const { source, parts } = row;
  const isOther = source && !isSame(source, above?.source);
  return html`${isOther && html`<${StepName} source=${source} address=${view.address} />`}
    ${parts.map((part, index) => html`<${LinePart} key=${index} row=${row} part=${part} isFirst=${index === 0}
      before=${parts[index - 1] ?? (isOther ? undefined : above?.parts.at(-1))} view=${view} />`)}`;
}

/** @param {Source} one @param {Source | null | undefined} other */
const isSame = (one, other) => one.step === other?.step && one.runId === other.runId;

/** @param {{ source: Source, address: RunAddress }} props */
function StepName({ source: { step, runId, dag }, address }) {
  return html`<div class="log-head"><a href=${stepPage(address, step, runId)} title=${runId ?? ""}>
    ${dag ? `${dag} › ${step}` : step}</a></div>`;
}

/**
 * @param {RunAddress} address
 * @param {string} step
 * @param {string | null} runId of a sub-run
 * @param {Stream} [stream]
 */
const stepPage = (address, step, runId, stream) => href(pageOf(address), { step, in: runId, stream });

/** @param {{ row: OutputRow, part: Part, before?: Part, isFirst: boolean, view: View }} props */
function LinePart({ row, part, before, isFirst, view }) {
  const { number, source } = row;
  const begins = before ? before.execution !== part.execution : number === 1 && isFirst;
  const title = begins && source === null ? view.titleOf(part.execution) : null;
  const key = `try:${part.execution}`;
  return html`${title && html`<${TryHead} title=${title} isFolded=${view.isFolded(key)}
      onFold=${() => view.onFold(key, number)} />`}
    ${!(title && view.isFolded(key)) && html`<${Line} row=${row} part=${part} before=${before} isFirst=${isFirst}
      view=${view} />`}`;
}

/** @param {{ title: string, isFolded: boolean, onFold: () => void }} props */
function TryHead({ title, isFolded, onFold }) {
  return html`<div class="log-head try">
    <${FoldButton} isFolded=${isFolded} title=${title} onFold=${onFold} />${title}</div>`;
}

/** @param {{ isFolded: boolean, title: string, onFold: () => void }} props */
function FoldButton({ isFolded, title, onFold }) {
  return html`<button type="button" class="fold" aria-expanded=${!isFolded} onClick=${onFold}
    aria-label=${`${isFolded ? "Unfold" : "Fold"} ${title}`}><${Icon} name=${isFolded ? "open" : "shut"} /></button>`;
}

/** @param {{ row: OutputRow, part: Part, before?: Part, isFirst: boolean, view: View }} props */
function Line({ row, part, before, isFirst, view }) {
  const { number } = row;
  const isError = view.marks && part.stream === "stderr";
  const classes = ["log-line", number === view.linked && "linked", view.isHit(row) && "hit", isError && "err"];
  const time = new Date(part.at);
  const title = isFirst && !row.source ? groupTitle(bare(part.text)) : null; // groups of all steps do not fold
  return html`<div class=${classes.filter(Boolean).join(" ")}>
    <${LineNumber} row=${row} part=${part} isError=${isError} view=${view} />
    ${view.times && html`<time class="log-time" datetime=${part.at}
      title=${`The server received it ${exact(time)}`}>${before?.at === part.at ? "" : moment(time)}</time>`}
    ${title === null ? html`<${Text} part=${part} pattern=${view.pattern} />`
      : html`<${GroupHead} title=${title || "group"} number=${number} view=${view} />`}
  </div>`;
}

/** @param {{ row: OutputRow, part: Part, isError: boolean, view: View }} props */
function LineNumber({ row: { number, source }, part: { stream }, isError, view }) {
  const { onLink, address } = view;
  const name = source ? `${source.step}, ${stream}, line ${number}`
    : `Link to line ${number}${isError ? ", stderr" : ""}`;
  const page = source ? stepPage(address, source.step, source.runId, stream) : "";
  return html`<a class="log-number" href=${`${page}#L${number}`} aria-label=${name}
    onClick=${onLink && ((/** @type {Event} */ event) => {
      event.preventDefault();
      onLink(number);
    })}>${number}</a>`;
}

/** @param {{ title: string, number: number, view: View }} props */
function GroupHead({ title, number, view: { isFolded, onFold } }) {
  const key = `group:${number}`;
  return html`<span class="log-text group"><${FoldButton} isFolded=${isFolded(key)} title=${title}
    onFold=${() => onFold(key, number)} />${title}${"\n"}</span>`;
}

/** @param {{ part: Part, pattern: RegExp | null }} props */
function Text({ part, pattern }) {
  const [whole, setWhole] = useState(false);
  const text = part.text.endsWith("\r") ? part.text.slice(0, -1) : part.text;
  const state = whole ? text : settled(text);
  const shown = whole ? state : state.slice(0, LONGEST);
  const hidden = text.length - shown.length;
  return html`<span class=${whole ? "log-text whole" : "log-text"}>
    ${pieces(shown, part.style).map(({ text: piece, style }, index) => html`<span key=${index}
      class=${classesOf(style)} style=${styleOf(style)}>${marked(piece, pattern)}</span>`)}
    ${hidden > 0 && html` <button type="button"
      title=${state === text ? "" : "The program overwrote this line; show everything that it wrote"}
      onClick=${() => setWhole(true)}>
      Show ${plural(hidden, "more character", "more characters")}</button>`}${"\n"}</span>`;
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

