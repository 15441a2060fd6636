// One line of output, with what separates it from the line above: the step, the try, the title of a group.

import { html, useState } from "../vendor/core.js";
import { pieces, settled } from "../lib/ansi.js";
import { exact, moment, plural } from "../lib/format.js";
import { groupTitle, keyOf } from "../lib/output-rows.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { Icon } from "./basic.js";

/** @import { OutputRow, Part, Section, Source, Style, View } from "../../types/ui" */

const LONGEST = 4000; // characters of a line, until the user expands it

/**
 * A row below the one `above` it in the list; `before` is what its step wrote before it.
 * @param {{ number: number, row?: OutputRow, above?: OutputRow, before?: Part, view: View }} props
 */
export function OutputLine({ number, row, above, before, view }) {
  if (!row) return html`<div class="log-line"><span class="log-number">${view.onLink && number}</span>
    <span class="log-text faint">…</span></div>`;
  const { source, parts } = row;
  const isOther = source && !isSame(source, above?.source);
  const lastAt = isOther ? null : above?.parts.at(-1)?.at;
  return html`${isOther && html`<${StepName} source=${source} address=${view.address} />`}
    ${parts.map((part, index) => html`<${LinePart} key=${index} row=${row} part=${part} isFirst=${index === 0}
      before=${parts[index - 1] ?? before} lastAt=${parts[index - 1]?.at ?? lastAt} view=${view} />`)}`;
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

/**
 * @param {{ row: OutputRow, part: Part, before?: Part, lastAt?: string | null, isFirst: boolean, view: View }} props
 */
function LinePart({ row, part, before, lastAt, isFirst, view }) {
  const { number, source } = row;
  const { execution } = part;
  // Of a step the line before may not be loaded yet.
  const begins = before ? before.execution !== execution : isFirst && (source !== null || number === 1);
  const head = begins ? view.tryOf(execution, source) : null;
  /** @type {Section} */
  const section = { kind: "try", number: execution, source };
  return html`${head && html`<div class="log-head try" title=${head.error ?? ""}>
      <${FoldButton} section=${section} title=${head.title} view=${view} />${head.title}
      ${head.outcome && html`<span> · ${head.outcome}</span>`}</div>`}
    ${!(head && view.isFolded(keyOf(section))) && html`<${Line} row=${row} part=${part} lastAt=${lastAt}
      isFirst=${isFirst} view=${view} />`}`;
}

/** @param {{ section: Section, title: string, view: View }} props */
function FoldButton({ section, title, view }) {
  const isFolded = view.isFolded(keyOf(section));
  const what = section.source ? `${title} of ${section.source.step}` : title;
  return html`<button type="button" class="fold" aria-expanded=${!isFolded} onClick=${() => view.onFold(section)}
    aria-label=${`${isFolded ? "Unfold" : "Fold"} ${what}`}><${Icon} name=${isFolded ? "open" : "shut"} /></button>`;
}

/** @param {{ row: OutputRow, part: Part, lastAt?: string | null, isFirst: boolean, view: View }} props */
function Line({ row, part, lastAt, isFirst, view }) {
  const { number, source } = row;
  const isError = view.marks && part.stream === "stderr";
  const classes = ["log-line", number === view.linked && "linked", view.isHit(row) && "hit", isError && "err"];
  const group = isFirst ? groupTitle(part.text) : null;
  /** @type {Section} */
  const section = { kind: "group", number, source, stream: part.stream };
  return html`<div class=${classes.filter(Boolean).join(" ")}>
    <${LineNumber} row=${row} part=${part} isError=${isError} view=${view} />
    ${view.times && html`<time class="log-time" datetime=${part.at}
      title=${`The server received it ${exact(part.at)}`}>${lastAt === part.at ? "" : moment(part.at)}</time>`}
    ${group === null ? html`<${Text} part=${part} pattern=${view.pattern} />`
      : html`<span class="log-text group"><${FoldButton} section=${section} title=${group || "group"}
        view=${view} />${group || "group"}${"\n"}</span>`}
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

/** @param {{ part: Part, pattern: RegExp | null }} props */
function Text({ part, pattern }) {
  const [whole, setWhole] = useState(false);
  const text = part.text.endsWith("\r") ? part.text.slice(0, -1) : part.text;
  const state = whole ? text : settled(text);
  const shown = whole ? state : state.slice(0, LONGEST);
  const hidden = text.length - shown.length;
  return html`<span class=${whole ? "log-text whole" : "log-text"}>
    ${pieces(shown, part.style).map(({ text: piece, style }, index) => html`<span key=${index}
      ...${style && attributesOf(style)}>${marked(piece, pattern)}</span>`)}
    ${hidden > 0 && html` <button type="button"
      title=${state === text ? "" : "The program overwrote this line; show everything that it wrote"}
      onClick=${() => setWhole(true)}>
      Show ${plural(hidden, "more character", "more characters")}</button>`}${"\n"}</span>`;
}

/** Attributes for a style, of which inverse swaps the colours: those by name are classes. @param {Style} style */
function attributesOf({ bold, faint, italic, underline, struck, inverse, ...colours }) {
  const front = inverse ? (colours.back ?? (colours.front ? "black" : null)) : colours.front;
  const back = inverse ? colours.front : colours.back;
  /** @param {string | null} color @param {string} kind */
  const named = (color, kind) => (color && !color.startsWith("rgb") ? `${kind}-${color}` : "");
  const classes = [bold && "b", faint && "f", italic && "i", underline && "u", struck && "s", inverse && "inv",
    named(front, "fg"), named(back, "bg")];
  const [color, backgroundColor] = [front, back].map((one) => (one?.startsWith("rgb") ? one : ""));
  const readable = backgroundColor && !front ? (isLight(backgroundColor) ? "#17191d" : "#ffffff") : "";
  return { class: classes.filter(Boolean).join(" "), style: { color: color || readable, backgroundColor } };
}

/** Whether dark text is more readable on a colour than white text (relative luminance, WCAG). @param {string} color */
function isLight(color) {
  const [red, green, blue] = (color.match(/\d+/g) ?? []).map((part) => (Number(part) / 255) ** 2.2);
  return red * 0.2126 + green * 0.7152 + blue * 0.0722 > 0.179;
}

/** The parts of a text, with the matches highlighted. @param {string} text @param {RegExp | null} pattern */
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

