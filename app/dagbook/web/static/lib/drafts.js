// Unsaved texts of definitions, valid or not, stored in this browser.

import { useEffect, useState } from "../vendor/core.js";
import { user } from "./session.js";

const KEPT_AFTER = 500; // milliseconds without a key
/** @typedef {{ text: string, etag: string | null, at: string }} Draft */

/**
 * A draft is offered to the user who has written it, also after an idle session.
 * @param {string} name
 */
const keyOf = (name) => `dagbook.draft.${[user.peek()?.id, name].filter(Boolean).join(".")}`;

/**
 * @param {string} name
 * @returns {Draft | null}
 */
function read(name) {
  try {
    const draft = JSON.parse(window.localStorage.getItem(keyOf(name)) ?? "null");
    return typeof draft?.text === "string" ? draft : null;
  } catch {
    return null; // none, no storage, or in the format of another version
  }
}

/**
 * @param {string} name
 * @param {Draft | null} draft
 */
function write(name, draft) {
  try {
    if (draft) window.localStorage.setItem(keyOf(name), JSON.stringify(draft));
    else window.localStorage.removeItem(keyOf(name));
  } catch {
    // storage is disabled or full: the text is lost with the tab
  }
}

/**
 * Store an editor's unsaved text, and offer the draft that was stored before it was opened.
 * `stored` is the server's text of the revision `etag`.
 * `offered` is set until the user takes or discards the draft.
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
    const timer = setTimeout(
      () => write(name, text === stored ? null : { text, etag, at: new Date().toISOString() }),
      KEPT_AFTER,
    );
    return () => clearTimeout(timer);
  }, [offered, name, text, stored, etag]);
  const decide = () => {
    setOffered(null);
    return offered;
  };
  return { offered, take: decide, drop: decide };
}
