// Unsaved texts of definitions, valid or not, stored in this browser.

import { useEffect, useState } from "../vendor/core.js";
import { user } from "./session.js";
import { store, storedValue } from "./stored.js";

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
