// Texts of definitions that were typed and not saved, right or wrong, kept in this browser.

import { useEffect, useState } from "../vendor/core.js";

const KEPT_AFTER = 500; // milliseconds without a key
/** @typedef {{ text: string, etag: string | null, at: string }} Draft */

/** @param {string} name */
const keyOf = (name) => `dagbook.draft.${name}`;

/**
 * @param {string} name
 * @returns {Draft | null}
 */
function read(name) {
  try {
    const draft = JSON.parse(window.localStorage.getItem(keyOf(name)) ?? "null");
    return typeof draft?.text === "string" ? draft : null;
  } catch {
    return null; // none, no storage, or not what this version writes
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
    // storage is switched off or full: the text lives as long as the tab
  }
}

/**
 * Keeps what is typed into an editor, and offers what was kept when it was opened.
 * `stored` is what the server has, of the revision `etag`.
 * `offered` is there until it is taken up or dropped.
 * @param {string} name
 * @param {{ text: string, stored: string, etag: string | null }} definition
 */
export function useDraft(name, { text, stored, etag }) {
  const [offered, setOffered] = useState(() => {
    const draft = read(name);
    return draft && draft.text !== stored ? draft : null;
  });
  useEffect(() => {
    if (offered) return undefined; // it is not written over before somebody has decided
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
