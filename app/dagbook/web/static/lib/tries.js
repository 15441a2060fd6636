// Tries of a step: their titles, and how they ended. Pure.

import { durationText } from "./format.js";
import { nodeStatus } from "./status.js";

/** "Try 2 of 3"; null for the only one. @param {number} execution @param {number | null} count if known */
export function tryTitle(execution, count) {
  if (count === null) return `Try ${execution}`;
  if (execution > count) return `Execution ${execution}`; // of a step that repeats
  return count === 1 ? null : `Try ${execution} of ${count}`;
}

/** "failed with exit code 1 · 12 s"; empty until it is known. @param {Api.StepTry | undefined} one */
export function outcomeOf(one) {
  if (!one) return "";
  if (one.finishedAtMillis === undefined) return "running";
  const word = one.status === undefined ? "ended" : nodeStatus(one.status).word;
  return `${word}${(one.exitCode ?? 0) > 0 ? ` with exit code ${one.exitCode}` : ""} · ${durationText(one)}`;
}
