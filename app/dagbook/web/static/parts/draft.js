// Unsaved texts of definitions, valid or not, stored in this browser, and the offer to continue with one.

import { html, useEffect, useState } from "../vendor/core.js";
import { user } from "../lib/session.js";
import { store, storedValue } from "../lib/stored.js";
import { Time } from "./basic.js";
import { NextTime } from "./clock.js";

const KEPT_AFTER = 500; // milliseconds without a key
/** @typedef {{ text: string, etag: string | null, at: string }} Draft */

/** A draft is offered to the user who has written it, also after an idle session. @param {string} name */
const keyOf = (name) => `dagbook.draft.${[user.peek()?.id, name].filter(Boolean).join(".")}`;

/** @param {string} name @returns {Draft | null} */
function read(name) {
  const draft = storedValue(keyOf(name));
  return typeof draft?.text === "string" ? draft : null;
}

/**
 * Store an editor's unsaved text, and offer the draft that was stored before it was opened.
 * `stored` is the server's text of the revision `etag`.
 * `offered` is set until the user takes or discards the draft: `decide` returns it.
 * @param {string} name
 * @param {{ text: string, stored: string, etag: string | null }} definition
 */
export function useDraft(name, { text, stored, etag }) {
  const [offered, setOffered] = useState(() => {
    const draft = read(name);
    return draft && draft.text !== stored ? draft : null;
  });
  useEffect(() => {
    if (offered) return undefined; // the draft is not overwritten before the user has decided
    const write = () => {
      const draft = { text, etag, at: new Date().toISOString() };
      store(keyOf(name), text === stored ? null : JSON.stringify(draft));
    };
    const timer = setTimeout(write, KEPT_AFTER);
    return () => clearTimeout(timer);
  }, [offered, name, text, stored, etag]);
  const decide = () => {
    setOffered(null);
    return offered;
  };
  return { offered, decide };
}

/**
 * `etag` is that of the displayed revision.
 * @param {{ draft: Draft, etag: string | null, onTake: () => void, onDrop: () => void }} props
 */
export function DraftOffer({ draft, etag, onTake, onDrop }) {
  return html`<div class="draft" role="status">
    <p>You have unsaved changes from <${Time} at=${draft.at} />.
      ${draft.etag !== etag && html` <strong class="wait">Another revision was saved since then.</strong>`}</p>
    <div class="row"><button type="button" class="primary" onClick=${onTake}>Restore draft</button>
      <button type="button" onClick=${onDrop}>Discard draft</button></div>
  </div>`;
}

/** The next starts that the text would cause. @param {{ starts: Api.NextStart[] | undefined }} props */
export function NextOfText({ starts }) {
  if (!starts?.length) return null;
  return html`<section aria-label="Next starts of this text"><h2>Next starts with this text</h2>
    <ul class="plain">
      ${starts.map(({ at, expression }) => html`<li key=${at}>
        <${NextTime} at=${at} /> <code class="faint">${expression}</code></li>`)}</ul></section>`;
}
