// Why a run waits, as its reader sees it. Pure.

import { clock, instant, short } from "./format.js";

/**
 * Why a run waits, in the server's words, with short ids and the viewer's time of day.
 * @param {Api.WaitingFor} waitingFor
 */
export function waitText({ message, heldBy = [], since }) {
  const times = [since, ...heldBy.map(({ startedAt }) => startedAt)].flatMap((text) => instant(text) ?? []);
  const named = heldBy.reduce((text, { dagRunId }) => text.replaceAll(dagRunId, short(dagRunId)), message);
  return times.reduce((text, time) => text.replaceAll(secondsText(time), clock(time)), named);
}

/** "2026-11-27T14:32:05Z", as the server writes times in its sentences. @param {Date} time */
const secondsText = (time) => time.toISOString().replace(/\.\d+Z$/, "Z");
