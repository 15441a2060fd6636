// The scheduled times of a DAG as a map of days and times of the day, and what a backfill of some of them does. Pure.

import { RUN, runStatus } from "./status.js";

/** @import { Look } from "../../types/ui" */

const DAY = 86_400; // seconds
const MOST_SLOTS = 1000;
const MOST_DAYS = 31;
const MOST_ROWS = 24;

/** @type {Record<string, Look>} */
const LOOKS = {
  ...Object.fromEntries(Object.entries(RUN).map(([name, number]) => [name.toLowerCase(), runStatus(number)])),
  missing: { word: "missing", icon: "unknown", tone: "wait" },
  skipped: { word: "skipped", icon: "skip", tone: "off" },
  suspended: { word: "suspended", icon: "skip", tone: "off" },
};
const UNKNOWN = { word: "unknown", icon: "unknown", tone: "idle" };
// The worst one of several is shown.
const ORDER = ["failed", "aborted", "missing", "skipped", "suspended", "running", "queued", "not_started",
  "partially_succeeded", "unknown", "succeeded"];
const MISSING = new Set(["missing", "skipped", "suspended"]);
const FAILED = new Set(["failed", "aborted"]);

/** @param {string} outcome */
export const lookOfSlot = (outcome) => LOOKS[outcome] ?? UNKNOWN;

/** How many days fit, by the least time between two starts in seconds. @param {number} apart */
export const daysOf = (apart) =>
  Math.max(1, Math.min(MOST_DAYS, Math.floor((MOST_SLOTS * (Number.isFinite(apart) ? apart : DAY)) / DAY)));

/**
 * A cell of the map: the slots of a day at a time of the day, or in an hour of it if there are many times.
 * @typedef {{ day: string, row: string, slots: Api.DagSlot[], outcome: string }} Cell
 */

/**
 * Rows of cells by day; a day without a slot there has none. The day and the time are those of the schedule.
 * @param {Api.DagSlot[]} slots
 * @returns {{ days: string[], rows: { name: string, cells: (Cell | null)[] }[] }}
 */
export function mapOf(slots) {
  const isMany = new Set(slots.map(({ scheduledAt }) => scheduledAt.slice(11, 16))).size > MOST_ROWS;
  const rowOf = (/** @type {Api.DagSlot} */ { scheduledAt }) =>
    isMany ? `${scheduledAt.slice(11, 13)}:…` : scheduledAt.slice(11, 16);
  const days = [...new Set(slots.map(({ scheduledAt }) => scheduledAt.slice(0, 10)))].sort();
  const names = [...new Set(slots.map(rowOf))].sort();
  /** @type {Map<string, Cell>} */
  const cells = new Map();
  for (const slot of slots) {
    const [day, row] = [slot.scheduledAt.slice(0, 10), rowOf(slot)];
    const cell = cells.get(`${day} ${row}`) ?? { day, row, slots: [], outcome: slot.outcome };
    cell.slots.push(slot);
    if (ORDER.indexOf(slot.outcome) < ORDER.indexOf(cell.outcome)) cell.outcome = slot.outcome;
    cells.set(`${day} ${row}`, cell);
  }
  return { days, rows: names.map((name) => ({ name, cells: days.map((day) => cells.get(`${day} ${name}`) ?? null) })) };
}

/**
 * The slots in a rectangle between two cells, by their rows and days, in order.
 * @param {ReturnType<typeof mapOf>} map
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
export function slotsBetween(map, from, to) {
  const [top, bottom] = [Math.min(from[0], to[0]), Math.max(from[0], to[0])];
  const [left, right] = [Math.min(from[1], to[1]), Math.max(from[1], to[1])];
  const found = map.rows.slice(top, bottom + 1).flatMap(({ cells }) => cells.slice(left, right + 1));
  return found.flatMap((cell) => cell?.slots ?? []).sort(inOrder);
}

/** @param {Api.DagSlot} one @param {Api.DagSlot} other */
const inOrder = (one, other) => Date.parse(one.scheduledAt) - Date.parse(other.scheduledAt);

/**
 * What a backfill of slots does: how many are started and done again, in words, and its request. A slot that is unknown
 * is started only if it was selected; one that an open batch has is left to it.
 * @param {string} dag
 * @param {Api.DagSlot[]} all
 * @param {Api.DagSlot[]} selected none: all that are missing or have failed
 */
export function backfillOf(dag, all, selected) {
  const isPicked = selected.length > 0;
  const chosen = (isPicked ? selected : all).filter(({ batchId }) => batchId === undefined);
  const missing = chosen.filter(({ outcome }) => MISSING.has(outcome) || (isPicked && outcome === "unknown"));
  const failed = chosen.filter(({ outcome }) => FAILED.has(outcome));
  const done = [...missing, ...failed].sort(inOrder);
  if (!done.length) return null;
  const words = [missing.length && `run ${missing.length} missing`, failed.length && `redo ${failed.length} failed`];
  const text = words.filter(Boolean).join(", ");
  const wanted = new Set(done);
  const [first, last] = [done[0], done[done.length - 1]];
  const leaveOut = all.filter((slot) => !wanted.has(slot) && inOrder(first, slot) <= 0 && inOrder(slot, last) <= 0);
  return {
    text: text[0].toUpperCase() + text.slice(1),
    body: {
      action: /** @type {const} */ ("start"),
      dag,
      from: first.scheduledAt,
      to: last.scheduledAt,
      unknown: isPicked && missing.some(({ outcome }) => outcome === "unknown"),
      leaveOut: leaveOut.map(({ scheduledAt }) => scheduledAt),
    },
  };
}
