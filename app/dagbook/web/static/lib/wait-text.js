// Wait reason of a queued run as shown to the user. Pure.

import { clock, plural } from "./format.js";

/**
 * The wait reason in a sentence, with times of the viewer's time zone. The server's own sentence names ids as well.
 * @param {Api.WaitingFor} waitingFor
 */
export function waitText(waitingFor) {
  const ahead = waitingFor.position - 1;
  return ahead > 0 ? `${plural(ahead, "run")} ahead. ${causeOf(waitingFor)}` : causeOf(waitingFor);
}

/** The reason without the position, the same for most runs of a queue. @param {Partial<Api.WaitingFor>} waitingFor */
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

/** The reason that most runs of a queue have in common, empty if each has its own. @param {RunSummary[]} queued */
export function sharedCause(queued) {
  const groups = Map.groupBy(queued, ({ waitingFor }) => (waitingFor ? causeOf(waitingFor) : ""));
  const [cause, runs] = [...groups].sort(([, one], [, other]) => other.length - one.length)[0] ?? ["", []];
  return runs.length > 1 || queued.length === 1 ? cause : "";
}

/** @param {string | undefined} at */
const sinceText = (at) => (clock(at) ? ` since ${clock(at)}` : "");
