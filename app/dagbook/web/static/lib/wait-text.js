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

/**
 * The reason without the position of the run, which is the same for most runs of a queue.
 * @param {Partial<Api.WaitingFor>} waitingFor
 */
export function causeOf({ reason, queue, message = "", limit = 0, running = 0, heldBy = [], since, by }) {
  if (reason === "limit") {
    const names = heldBy.map(({ name, startedAt }) => `${name}${sinceText(startedAt)}`).join(", ");
    const more = running - heldBy.length;
    const others = more > 0 && heldBy.length ? ` and ${more} more` : "";
    return `Queue ${queue} is full (${running} of ${limit} active)${names && `: ${names}${others}`}`;
  }
  if (reason === "paused") return `Queue ${queue} is paused${sinceText(since)}${by ? ` by ${by}` : ""}`;
  return reason === "turn" ? "Starts next" : message.replace(/`([^`]*)`/g, "“$1”");
}

/**
 * The reason that most runs of a queue have in common, empty if each has its own.
 * @param {RunSummary[]} queued
 */
export function sharedCause(queued) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { waitingFor } of queued) {
    const cause = waitingFor ? causeOf(waitingFor) : "";
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
  }
  const [cause, count] = [...counts].sort(([, one], [, other]) => other - one)[0] ?? ["", 0];
  return count > 1 || queued.length === 1 ? cause : "";
}

/** @param {string | undefined} text */
function sinceText(text) {
  const time = instant(text);
  return time ? ` since ${clock(time)}` : "";
}
