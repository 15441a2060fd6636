// Batches in words: what each one does, how far it is, and when it may have changed. Pure.

/** @import { Look } from "../../types/ui" */
/** @typedef {Api.BatchItem["state"]} ItemState */

/** The states of items, in the order of the bar. @type {Record<ItemState, Look>} */
export const ITEM_LOOKS = {
  done: { word: "done", icon: "check", tone: "good" },
  failed: { word: "failed", icon: "cross", tone: "bad" },
  begun: { word: "begun", icon: "arc", tone: "busy" },
  left_out: { word: "left out", icon: "skip", tone: "off" },
  planned: { word: "planned", icon: "circle", tone: "idle" },
};
const STATES = /** @type {ItemState[]} */ (Object.keys(ITEM_LOOKS));
/** Choices of a list by state. */
export const STATE_OPTIONS = [["", "any state"], ...STATES.map((state) => [state, ITEM_LOOKS[state].word])];

/** @type {Record<Api.Batch["action"], string>} */
const ACTIONS = { start: "Backfill", again: "Recall", retry: "Retry", stop: "Stop", dequeue: "Dequeue",
  delete: "Delete" };
/** @type {Record<string, string>} */
const TIMES = { "": "missing and failed times", missing: "missing times", failed: "failed times", all: "all times" };

/** The counts of items that are not zero, in the order of the bar. @param {Api.BatchCounts} counts */
export const partsOf = ({ leftOut, ...counts }) =>
  STATES.map((state) => ({ state, look: ITEM_LOOKS[state], count: { ...counts, left_out: leftOut }[state] ?? 0 }))
    .filter(({ count }) => count > 0);

/** "12 done, 1 failed". @param {Api.BatchCounts} counts */
export const countText = (counts) =>
  partsOf(counts).map(({ look, count }) => `${count.toLocaleString("en")} ${look.word}`).join(", ");

/** Whether items of it may still begin. @param {Api.Batch} batch */
export const isOpen = ({ endedAt, cancelledAt }) => !endedAt && !cancelledAt;

/** @param {Api.Batch} batch @returns {Look} */
export function lookOfBatch({ endedAt, cancelledAt, pausedAt, counts }) {
  if (cancelledAt) return { word: "cancelled", icon: "square", tone: "off" };
  if (endedAt && counts.failed) return { word: "ended", icon: "cross", tone: "bad" };
  if (endedAt) return { word: "ended", icon: "check", tone: "good" };
  if (pausedAt) return { word: "paused", icon: "wait", tone: "wait" };
  return { word: "open", icon: "arc", tone: "busy" };
}

/** Why a batch is in its state. @param {Api.Batch} batch */
export function reasonOfBatch({ endedAt, cancelledAt, cancelledBy, pausedAt, pausedBy, pausedWhy }) {
  const by = (/** @type {string | undefined} */ who) => (who ? `by ${who}` : "");
  if (cancelledAt) return [by(cancelledBy), !endedAt && "its runs go on"].filter(Boolean).join("; ");
  return pausedAt && !endedAt ? (pausedWhy ?? by(pausedBy)) : "";
}

/** @param {Api.Batch} batch */
export const actionOf = ({ action }) => ACTIONS[action];

/** What a batch was asked: times of the schedule, or which runs. @param {Api.Batch} batch */
export function subjectOf({ action, filter }) {
  const asked = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (filter));
  const day = (/** @type {unknown} */ at) => String(at ?? "").replace("T", " ");
  if (action === "start" && asked.from)
    return `${TIMES[String(asked.only ?? "")]}, ${day(asked.from)} to ${day(asked.to)}${
      asked.unknown ? ", also unknown ones" : ""}`;
  return Object.entries(asked).filter(([name]) => name !== "dag").map(([name, value]) =>
    `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

/** How a batch is done. @param {Api.Batch} batch */
export const optionsOf = ({ parallel, order, onFailure, text }) => [
  `${parallel} at a time`,
  `${order} first`,
  onFailure === "stop" && "pauses after a failure",
  text === "original" ? "each with its own text" : text !== "current" && `revision ${text}`,
].filter(Boolean).join(", ");

/**
 * Whether a batch may differ after a change: of itself, or of a run that it has begun.
 * @param {Change} change
 * @param {Api.Batch} batch
 */
export function isAbout({ kind, name, root }, { dagName, endedAt }) {
  if (dagName && name && name !== dagName) return false;
  return kind === "batch" || (kind === "run" && !root && !endedAt);
}
