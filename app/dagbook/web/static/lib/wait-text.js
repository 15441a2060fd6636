// Wait reason of a queued run as shown to the user. Pure.

import { clock, instant, short } from "./format.js";

/**
 * The server's wait reason, with short ids and times in the viewer's time zone.
 * @param {Api.WaitingFor} waitingFor
 */
export function waitText({ message, heldBy = [], since }) {
  const times = [since, ...heldBy.map(({ startedAt }) => startedAt)].flatMap((text) => instant(text) ?? []);
  const named = heldBy.reduce((text, { dagRunId }) => text.replaceAll(dagRunId, short(dagRunId)), message);
  return times.reduce((text, time) => text.replaceAll(secondsText(time), clock(time)), named);
}

/** "2026-11-27T14:32:05Z", as the server writes times in its sentences. @param {Date} time */
const secondsText = (time) => time.toISOString().replace(/\.\d+Z$/, "Z");
