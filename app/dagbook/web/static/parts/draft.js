// Offer to continue with an unsaved draft.

import { html } from "../vendor/core.js";
import { Time } from "./basic.js";
import { NextTime } from "./clock.js";

/**
 * `etag` is that of the displayed revision.
 * @param {{ draft: import("../lib/drafts.js").Draft, etag: string | null, onTake: () => void,
 *   onDrop: () => void }} props
 */
export function DraftOffer({ draft, etag, onTake, onDrop }) {
  return html`<div class="draft" role="status">
    <p>You have unsaved changes from <${Time} at=${draft.at} />.
      ${draft.etag !== etag && html` <strong class="wait">Another revision was saved since then.</strong>`}</p>
    <div class="row"><button type="button" class="primary" onClick=${onTake}>Restore draft</button>
      <button type="button" onClick=${onDrop}>Discard draft</button></div>
  </div>`;
}

/**
 * The next starts that the text would cause.
 * @param {{ starts: Api.NextStart[] | undefined }} props
 */
export function NextOfText({ starts }) {
  if (!starts?.length) return null;
  return html`<section aria-label="Next starts of this text"><h2>Next starts with this text</h2>
    <ul class="plain">
      ${starts.map(({ at, expression }) => html`<li key=${at}>
        <${NextTime} at=${at} /> <code class="faint">${expression}</code></li>`)}</ul></section>`;
}
