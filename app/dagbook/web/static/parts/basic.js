// Basic components that all pages use.

import { html, useId, useLayoutEffect, useRef, useState } from "../vendor/core.js";
import { HTTP } from "../lib/api.js";
import { ago, exact, instant, short } from "../lib/format.js";
import { setQuery } from "../lib/router.js";
import { useNow } from "../lib/clock.js";
import { may } from "../lib/session.js";
import { WAITING, nodeStatus, runStatus } from "../lib/status.js";
import { copyText } from "../lib/clipboard.js";

/** Icons as SVG strokes in a box of 16: fonts of machines may lack the characters. @type {Record<string, string>} */
const PATHS = {
  dashboard: "M2 9a6 6 0 0 1 12 0M8 9l3-3M2 12h12",
  runs: "M5 3l8 5-8 5z",
  dags: "M4 2v12M4 8h3l4-4M7 8l4 4M11 4h2M11 12h2",
  approvals: "M3 3h10v10H3zM5.5 8l2 2L11 6",
  alerts: "M8 2a4 4 0 0 1 4 4v3l1.5 3h-11L4 9V6a4 4 0 0 1 4-4zM6.5 14h3",
  queues: "M3 4h10M3 8h7M3 12h4",
  schedules: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM8 5v3l2 2",
  batches: "M2 6h9v8H2zM5 6V3h9v8h-3",
  triggers: "M9 1L3 9h4l-1 6 7-8H8z",
  workers: "M3 3h10v6H3zM6 13h4M8 9v4",
  search: "M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2zM11 11l3 3",
  sources: "M2 13V3h4l2 2h6v8zM2 7h12",
  system: "M3 13V8M7 13V3M11 13V6M2 14h12",
  users: "M8 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM2 14c0-3 3-4 6-4s6 1 6 4",
  access: "M8 1l6 2v5c0 4-3 6-6 7-3-1-6-3-6-7V3z",
  audit: "M4 2h8v12H4zM6 5h4M6 8h4M6 11h2",
  tokens: "M10 2a4 4 0 1 1-3 6.7L2 13v1h3v-2h2l1-1",
  mark: "M3 3h4.5v4.5H3zM8.5 8.5H13V13H8.5z",
  close: "M4 4l8 8M12 4l-8 8",
  copy: "M5 5h8v9H5zM3 11V2h8",
  check: "M3 8.5l3.5 3.5L13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  circle: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3z",
  half: "M8 3a5 5 0 1 1 0 10A5 5 0 0 1 8 3zM8 3v10",
  square: "M4 4h8v8H4z",
  wait: "M4 2h8M4 14h8M5 2c0 4 6 8 6 12M11 2c0 4-6 8-6 12",
  mixed: "M4 4h8v8H4zM4 12l8-8",
  skip: "M3 12c1-6 8-6 9-1M12 11l1-4M12 11l-4-1",
  dash: "M4 8h8",
  arc: "M8 3a5 5 0 1 1-5 5",
  unknown: "M6 6a2 2 0 1 1 2 2v2M8 12v.5",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6z" +
    "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.5 1.5M11.5 11.5L13 13M3 13l1.5-1.5M11.5 4.5L13 3",
  moon: "M12 10A5.5 5.5 0 0 1 6 3a5.5 5.5 0 1 0 6 7z",
  help: "M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2zM6.3 6.4a1.7 1.7 0 1 1 2.6 1.4c-.6.4-.9.7-.9 1.3M8 11.3v.1",
  more: "M3 8h.1M8 8h.1M13 8h.1",
  down: "M8 3v8M4 8l4 4 4-4M3 14h10",
  wrap: "M2 4h12M2 8h9a2 2 0 0 1 0 4H8M10 10l-2 2 2 2",
  open: "M6 3l5 5-5 5",
  shut: "M3 6l5 5 5-5",
  stop: "M4 4h8v8H4z",
  retry: "M13 8a5 5 0 1 1-1.5-3.5M13 2v3h-3",
};

/** @typedef {{ of?: number, look?: import("../../types/ui").Look, node?: boolean, waiting?: boolean }} StatusProps */

/**
 * A status as icon and word; `waiting` for an approval is shown instead of running, and a `look` instead of both.
 * @param {StatusProps} props
 */
export function Status(props) {
  const { word, icon, tone } = lookOf(props);
  return html`<span class="status ${tone}"><${Icon} name=${icon} />${word}</span>`;
}

/** A status in a list: the icon, with the word on hover and for screen readers. @param {StatusProps} props */
export function StatusIcon(props) {
  const { word, icon, tone } = lookOf(props);
  return html`<span class="status-icon ${tone}" title=${word}><${Icon} name=${icon} />
    <span class="visually-hidden">${word}</span></span>`;
}

/** @param {StatusProps} props */
const lookOf = ({ of, look, node, waiting }) => look ?? (waiting ? WAITING : node ? nodeStatus(of) : runStatus(of));

/**
 * A relative time with the exact one on hover; empty without a time.
 * @param {{ at: string | null | undefined, zone?: string, words?: boolean }} props
 */
export function Time({ at, zone, words = true }) {
  const now = useNow(15);
  const time = instant(at);
  if (!time) return html`<span class="faint">–</span>`;
  return html`<time datetime=${time.toISOString()} title=${exact(time, zone)}>${words ? ago(time, now) : exact(time)}
  </time>`;
}

/** @param {{ name: string, on: boolean, onSet: (on: boolean) => void, title?: string }} props */
export function Toggle({ name, on, onSet, title }) {
  return html`<label class="inline" title=${title}><input type="checkbox" checked=${on}
    onChange=${(/** @type {InputChange} */ event) => onSet(event.target.checked)} />${name}</label>`;
}

/**
 * A choice of one of some values, each with its word; other attributes are those of the element.
 * @param {{ value: string, options: (readonly string[])[], onSet: (value: any) => void,
 *   [attribute: string]: unknown }} props
 */
export function Select({ options, onSet, ...rest }) {
  return html`<select ...${rest} onChange=${(/** @type {SelectChange} */ event) => onSet(event.target.value)}>
    ${options.map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`)}</select>`;
}

/** A long text, truncated to the available width, complete on hover. @param {{ text: string, class?: string }} props */
export function Truncated({ text, class: more = "" }) {
  return html`<div class=${`cut ${more}`} title=${text}>${text}</div>`;
}

/** A short id, with a link if it has a page; a button copies the whole. @param {{ of: string, page?: string }} props */
export function Id({ of, page }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(of))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<span class="id">${page ? html`<a href=${page} data-open><code title=${of}>${short(of)}</code></a>`
    : html`<code title=${of}>${short(of)}</code>`}
    <button type="button" class="quiet" title="Copy the whole id" aria-label=${`Copy id ${of}`} onClick=${copy}>
      <${Icon} name=${copied ? "check" : "copy"} /></button></span>`;
}

/** Placeholder for an empty list, with what to do next. @param {{ title: string, children?: Children }} props */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2><div>${children}</div></div>`;
}

/**
 * A table, whose rows are the children; it scrolls where it is too wide. A head that is a text is that of a column; one
 * with "#" before it is that of numbers, one with "-" is for screen readers only. Other attributes are of the body.
 * @param {{ heads: Children[], class?: string, children?: Children, [attribute: string]: unknown }} props
 */
export function Table({ heads, class: look = "", children, ...rest }) {
  const drawn = (/** @type {string} */ head) => {
    const name = head.replace(/^[#-]/, "");
    return html`<th key=${name} class=${head.startsWith("#") ? "number" : undefined}>
      ${head.startsWith("-") ? html`<span class="visually-hidden">${name}</span>` : name}</th>`;
  };
  return html`<div class="scroll"><table class=${`stack ${look}`}><thead><tr>
    ${heads.map((head) => (typeof head === "string" ? drawn(head) : head))}</tr></thead>
    <tbody ...${rest}>${children}</tbody></table></div>`;
}

/** Content of a page that needs users, on a server without. @param {{ title: string }} props */
export function NoUsers({ title }) {
  return html`<h1>${title}</h1><${Empty} title="User accounts are off">
    <p>Set <code>auth_mode: builtin</code> in <code>dagbook.yaml</code> and restart the server.</p><//>`;
}

/** @type {Record<number, string>} */
const WRONG = {
  [HTTP.UNREACHABLE]: "No answer",
  [HTTP.UNAUTHORIZED]: "Not logged in",
  [HTTP.FORBIDDEN]: "Not allowed",
  [HTTP.NOT_FOUND]: "Not found",
  [HTTP.CONFLICT]: "Not possible now",
  [HTTP.PRECONDITION_FAILED]: "Changed meanwhile",
  [HTTP.CONTENT_TOO_LARGE]: "Too large",
  [HTTP.TOO_MANY_REQUESTS]: "Too often",
};

/** The message of an error, and buttons. @param {{ error: Failed, retry?: Reload, children?: Children }} props */
export function Failure({ error, retry, children }) {
  return html`<div class="failure" role="alert">
    <strong>${WRONG[error.status ?? NaN] ?? ((error.status ?? 0) >= HTTP.SERVER_ERROR ? "The server failed"
      : "That did not work")}</strong>
    <p>${error.message}</p>
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`} ${children}
  </div>`;
}

/**
 * Content of a page whose DAG or run does not exist: heading, the server's message, and links.
 * @param {{ title: string, error: Failed, children?: Children }} props
 */
export function NotThere({ title, error, children }) {
  return html`<h1>Not found</h1><${Empty} title=${title}><p>${error.message}. It may have been renamed or removed.</p>
    <p>${children}</p><//>`;
}

/** Skeleton lines of a load, shown only when it takes long enough to be noticed. @param {{ what?: string }} props */
export function Loading({ what = "" }) {
  return html`<div class="loading" role="status"><span class="visually-hidden">Loading ${what}…</span></div>`;
}

/**
 * @param {{ from: import("../lib/use-api.js").Loading<any>, what: string, missing?: ((error: Failed) => Children),
 *   children: (data: any) => Children }} props
 */
function Loaded({ from, what, missing, children }) {
  if (missing && from.error?.status === HTTP.NOT_FOUND) return missing(from.error);
  if (from.error && !from.data) return html`<${Failure} error=${from.error} retry=${from.reload} />`;
  if (!from.data) return html`<${Loading} what=${what} />`;
  return html`${from.error && html`<${Failure} error=${from.error} retry=${from.reload} />`}${children(from.data)}`;
}

/**
 * Render data once useApi has loaded them.
 * @template T
 * @param {import("../lib/use-api.js").Loading<T>} from
 * @param {string} what they are, in a word
 * @param {(data: T) => Children} show
 * @param {(error: Failed) => Children} [missing] content for a 404
 */
export function whenLoaded(from, what, show, missing) {
  return html`<${Loaded} from=${from} what=${what} missing=${missing}>${show}<//>`;
}

/**
 * A button for an action that needs a permission: absent without it. One that cannot be used now is disabled, and its
 * title says why.
 * @param {{ right?: import("../lib/session.js").Right, children?: Children, [attribute: string]: unknown }} props
 */
export function ActionButton({ right, children, ...rest }) {
  return right && !may(right) ? null : html`<button type="button" ...${rest}>${children}</button>`;
}

const GONE_AFTER = 700; // milliseconds

/**
 * Restore the focus to an element, which the action may have removed, as stopping a run removes its button.
 * @param {Element | null} before
 */
function restoreFocus(before) {
  const main = document.querySelector("main");
  (before instanceof HTMLElement && before.isConnected && before !== document.body ? before : main)?.focus();
  setTimeout(() => {
    if (document.activeElement === document.body && main?.isConnected) main.focus({ preventScroll: true });
  }, GONE_AFTER);
}

/**
 * A modal dialog; Escape and the backdrop close it, and the focus is restored.
 * @param {{ title: string, onClose: () => void, children?: Children, wide?: boolean }} props
 */
export function Dialog({ title, onClose, children, wide = false }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const name = useId();
  // An effect after the paint would lose the keys that are pressed right after the one that opens it.
  useLayoutEffect(() => {
    const [before, dialog] = [document.activeElement, element.current];
    dialog?.showModal();
    /** @type {HTMLElement | null | undefined} */
    const field = dialog?.querySelector(".body :is(input, select, textarea):enabled");
    /** @type {HTMLElement | null | undefined} */
    const button = dialog?.querySelector("footer button");
    (field ?? button)?.focus();
    return () => {
      dialog?.close(); // while it is open, nothing else can have the focus
      restoreFocus(before);
    };
  }, []);
  const pressed = useRef(/** @type {EventTarget | null} */ (null));
  // A press that started inside, as when text is selected, must not close the dialog.
  const closeOutside = (/** @type {Event} */ event) =>
    event.target === element.current && pressed.current === element.current && onClose();
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby=${name} onCancel=${onClose}
    onPointerDown=${(/** @type {Event} */ event) => (pressed.current = event.target)} onClick=${closeOutside}>
    <header>
      <h2 id=${name}>${title}</h2>
      <button type="button" class="quiet" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    ${children}
  </dialog>`;
}

/** @type {Record<string, number>} */
const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

/**
 * Tabs; arrow keys move between them.
 * @param {{ label: string, tabs: { id: string, title: string }[], chosen: string,
 *   onChoose: (name: string) => void }} props
 */
export function Tabs({ label, tabs, chosen, onChoose }) {
  const move = (/** @type {Targeted<KeyboardEvent, HTMLElement>} */ event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const at = (tabs.findIndex(({ id }) => id === chosen) + step + tabs.length) % tabs.length;
    onChoose(tabs[at].id);
    /** @type {HTMLElement} */ (event.currentTarget.children[at]).focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${tabs.map(({ id, title }) => html`<button type="button" role="tab" data-tab=${id} key=${id}
      aria-selected=${id === chosen} tabindex=${id === chosen ? 0 : -1} onClick=${() => onChoose(id)}>${title}
      </button>`)}
  </div>`;
}

/**
 * The page of a list, which is in the address, and buttons for its neighbours; nothing where one page is all.
 * @param {{ page: number, pagination?: Api.Pagination, names?: [before: string, after: string] }} props
 */
export function Pages({ page, pagination, names: [before, after] = ["Previous", "Next"] }) {
  if (!pagination || pagination.totalPages <= 1) return null;
  const turn = (/** @type {number} */ by) => setQuery({ page: page + by });
  return html`<p class="row">
    <button type="button" disabled=${page <= 1} onClick=${() => turn(-1)}>${before}</button>
    <span>Page ${page} of ${pagination.totalPages}</span>
    <button type="button" disabled=${page >= pagination.totalPages} onClick=${() => turn(1)}>${after}</button></p>`;
}

/**
 * An icon, hidden from screen readers, because there is always a word next to it or a label on its button.
 * @param {{ name: string }} props
 */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name] ?? PATHS.unknown} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"
      stroke-linejoin="round" />
  </svg>`;
}
