// Notifications at the edge of the page about the result of actions.

import { html, signal } from "../vendor/core.js";
import { asError } from "../lib/api.js";
import { Icon } from "./basic.js";

const SHOWN = 6000;
const notices = signal(/** @type {{ id: number, text: string, tone: string }[]} */ ([]));
let count = 0;

/** Show a message for a while; an error stays until it is closed. @param {string} text @param {string} [tone] */
export function notify(text, tone = "good") {
  const id = (count += 1);
  notices.value = [...notices.value, { id, text, tone }];
  if (tone !== "bad") setTimeout(() => close(id), SHOWN);
}

/** Run an action and show its result; returns whether it worked. @param {() => unknown} work @param {string} [done] */
export async function attempt(work, done) {
  try {
    await work();
    if (done) notify(done);
    return true;
  } catch (error) {
    notify(asError(error).message, "bad");
    return false;
  }
}

/** @param {number} id */
function close(id) {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function Notices() {
  return html`<div class="notices" role="status" aria-live="polite">
    ${notices.value.map(({ id, text, tone }) => html`<div key=${id} class="notice ${tone}">
      <span>${text}</span>
      <button type="button" class="quiet" aria-label="Close message" onClick=${() => close(id)}><${Icon} name="close" />
      </button></div>`)}
  </div>`;
}
