// Small pieces that every page is made of.

import { html, useEffect, useId, useRef, useState } from "../vendor/core.js";
import { ago, between, duration, exact, instant, short } from "../lib/format.js";
import { useNow } from "../lib/now.js";
import { may, whyNot } from "../lib/session.js";
import { nodeStatus, runStatus } from "../lib/status.js";
import { copyText } from "../lib/clipboard.js";
import { Icon } from "./icon.js";

/** A status as icon and word. */
export function Status({ of, node = false }) {
  const { word, icon, tone } = node ? nodeStatus(of) : runStatus(of);
  return html`<span class="status ${tone}"><${Icon} name=${icon} />${word}</span>`;
}

/** A time in words, with the exact one on hover; nothing where there is none. */
export function Time({ at, zone, words = true }) {
  const now = useNow(15);
  const time = instant(at);
  if (!time) return html`<span class="faint">–</span>`;
  return html`<time datetime=${time.toISOString()} title=${exact(time, zone)}>
    ${words ? ago(time, now) : exact(time)}
  </time>`;
}

/** How long something took, or takes so far. */
export function Duration({ from, to, active = false }) {
  const now = useNow(1, active);
  return html`<span class="number">${duration(between(from, active ? null : to, now))}</span>`;
}

/** A text that may be long: cut to the room there is, whole on hover. */
export function Cut({ text, class: more = "" }) {
  return html`<div class=${`cut ${more}`} title=${text}>${text}</div>`;
}

/** A short id that can be copied whole, and leads to a page when it has one. */
export function Id({ of, page }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!(await copyText(of))) return;
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<span class="id">${page ? html`<a href=${page}><code title=${of}>${short(of)}</code></a>` : html`<code title=${of}>${short(of)}</code>`}
    <button type="button" class="quiet" title="Copy the whole id" aria-label=${`Copy id ${of}`} onClick=${copy}><${Icon} name=${copied ? "check" : "copy"} /></button>
  </span>`;
}

/** What to see where there is nothing yet, and what to do next. */
export function Empty({ title, children }) {
  return html`<div class="empty"><h2>${title}</h2><div>${children}</div></div>`;
}

const WRONG = {
  0: "No answer",
  401: "Not logged in",
  403: "Not allowed",
  404: "Not found",
  409: "Not possible now",
  412: "Somebody was faster",
  413: "Too large",
  429: "Too often",
};

/** What went wrong, in the server's words, and a way to try again. */
export function Failure({ error, retry }) {
  return html`<div class="failure" role="alert">
    <strong>${WRONG[error.status] ?? (error.status >= 500 ? "The server failed" : "That did not work")}</strong>
    <p>${error.message}</p>
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** What a page shows whose DAG or run is not there: a heading, the server's words, and where to go on. */
export function NotThere({ title, error, children }) {
  return html`<h1>Not found</h1><${Empty} title=${title}><p>${error.message}. It may have been renamed or removed.</p><p>${children}</p><//>`;
}

/** Lines that stand for what is being loaded, shown only when it takes long enough to be noticed. */
export function Loading({ what = "" }) {
  return html`<div class="loading" role="status"><span class="visually-hidden">Loading ${what}…</span></div>`;
}

/**
 * Data that were loaded by useLoad: the children get them.
 * @param missing what to show where the server knows no such thing
 */
export function Loaded({ from, what, missing, children }) {
  if (missing && from.error?.status === 404) return missing(from.error);
  if (from.error && !from.data) return html`<${Failure} error=${from.error} retry=${from.reload} />`;
  if (!from.data) return html`<${Loading} what=${what} />`;
  return html`${from.error && html`<${Failure} error=${from.error} retry=${from.reload} />`}${children(from.data)}`;
}

/** A button for something that not everybody may do: it says why not. */
export function Act({ right, children, disabled = false, title, ...rest }) {
  const allowed = !right || may(right);
  return html`<button type="button" ...${rest} disabled=${disabled || !allowed} title=${allowed ? title : whyNot(right)}>
    ${children}
  </button>`;
}

const GONE_AFTER = 700; // milliseconds

/** Focus what had it before; what was just done may take that away, as the stop of a run does with its button. */
function giveBack(before) {
  const main = document.querySelector("main");
  (before?.isConnected && before !== document.body ? before : main)?.focus();
  setTimeout(() => document.activeElement === document.body && main?.isConnected && main.focus({ preventScroll: true }), GONE_AFTER);
}

/** A dialog over the page; Escape and the backdrop close it, focus returns where it was. */
export function Dialog({ title, onClose, children, wide = false }) {
  const element = useRef();
  const name = useId();
  useEffect(() => {
    const before = document.activeElement;
    element.current.showModal();
    const field = element.current.querySelector(".body :is(input, select, textarea):enabled");
    (field ?? element.current.querySelector("footer button"))?.focus();
    return () => giveBack(before);
  }, []);
  const pressed = useRef(null);
  // A press that began inside, as when text is marked, is not meant for the backdrop.
  const closeOutside = (event) => event.target === element.current && pressed.current === element.current && onClose();
  return html`<dialog ref=${element} class=${wide ? "wide" : ""} aria-labelledby=${name} onCancel=${onClose} onPointerDown=${(event) => (pressed.current = event.target)} onClick=${closeOutside}>
    <header>
      <h2 id=${name}>${title}</h2>
      <button type="button" class="quiet" aria-label="Close" onClick=${onClose}><${Icon} name="close" /></button>
    </header>
    ${children}
  </dialog>`;
}

/**
 * Ask before something that cannot be undone.
 * @param typed a name that has to be typed first, for what destroys much
 */
export function Confirm({ title, children, action, onConfirm, onClose, typed, danger = true }) {
  const [text, setText] = useState("");
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      <div class="body">
        ${children}
        ${typed && html`<label><span>Type <code>${typed}</code> to go on</span>
          <input value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" /></label>`}
      </div>
      <footer>
        ${failure && html`<${Failure} error=${failure} />`}
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class=${danger ? "danger" : "primary"} disabled=${busy || (typed && text !== typed)}>${action}</button>
      </footer>
    </form>
  <//>`;
}

/** Switches between views of one thing; arrow keys move. */
export function Tabs({ label, tabs, chosen, onChoose }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = tabs.findIndex(({ id }) => id === chosen);
    const next = tabs[(at + step + tabs.length) % tabs.length];
    onChoose(next.id);
    event.currentTarget.querySelector(`[data-tab="${next.id}"]`)?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${tabs.map(({ id, title }) => html`<button type="button" role="tab" data-tab=${id} key=${id}
      aria-selected=${id === chosen} tabindex=${id === chosen ? 0 : -1} onClick=${() => onChoose(id)}>${title}</button>`)}
  </div>`;
}
