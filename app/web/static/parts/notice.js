// Short messages at the edge of the page: what was just done, or why it was not.

import { html, signal } from "../vendor/core.js";
import { Icon } from "./icon.js";

const SHOWN = 6000;
const notices = signal([]);
let count = 0;

/** Show a message for a while; a bad one stays until it is closed. */
export function notify(text, tone = "good") {
  const id = (count += 1);
  notices.value = [...notices.value, { id, text, tone }];
  if (tone !== "bad") setTimeout(() => close(id), SHOWN);
}

/** Do something and say how it went; returns whether it went well. */
export async function attempt(work, done) {
  try {
    const result = await work();
    if (done) notify(typeof done === "function" ? done(result) : done);
    return true;
  } catch (error) {
    notify(error.message, "bad");
    return false;
  }
}

function close(id) {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">
    ${notices.value.map(({ id, text, tone }) => html`<div key=${id} class="notice ${tone}">
      <span>${text}</span>
      <button type="button" class="quiet" aria-label="Close message" onClick=${() => close(id)}><${Icon} name="close" /></button>
    </div>`)}
  </div>`;
}
