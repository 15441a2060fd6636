// Wait reason of a queued run as shown to the user. Pure.

import { clock, instant, plural } from "./format.js";

/**
 * The wait reason in a sentence, with times of the viewer's time zone. The server's own sentence names ids as well.
 * @param {Api.WaitingFor} waitingFor
 */
export function waitText(waitingFor) {
  const ahead = waitingFor.position - 1;
  return ahead > 0 ? `${plural(ahead, "run")} ahead. ${causeOf(waitingFor)}` : causeOf(waitingFor);
}

/** @param {Api.WaitingFor} waitingFor */
function causeOf({ reason, queue, message, limit = 0, running = 0, heldBy = [], since, by }) {
  if (reason === "limit") {
    const names = heldBy.map(({ name, startedAt }) => `${name}${sinceText(startedAt)}`).join(", ");
    const more = running - heldBy.length;
    const others = more > 0 && heldBy.length ? ` and ${more} more` : "";
    return `Queue ${queue} is full (${running} of ${limit} active)${names && `: ${names}${others}`}`;
  }
  if (reason === "paused") return `Queue ${queue} is paused${sinceText(since)}${by ? ` by ${by}` : ""}`;
  return reason === "turn" ? "Starts next" : message;
}

/** @param {string | undefined} text */
function sinceText(text) {
  const time = instant(text);
  return time ? ` since ${clock(time)}` : "";
}
