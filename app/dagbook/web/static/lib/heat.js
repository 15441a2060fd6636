// The runs of a DAG by day and status, as rows of a map. Pure.

import { timeText } from "./clock.js";
import { RUN, runStatus } from "./status.js";

const WEEKS = 8;
const LEVELS = 4;
const NOON = 43200; // seconds
const ORDER = [RUN.FAILED, RUN.PARTIALLY_SUCCEEDED, RUN.ABORTED, RUN.SUCCEEDED, RUN.RUNNING, RUN.QUEUED,
  RUN.NOT_STARTED];
const ALWAYS = new Set([RUN.FAILED, RUN.SUCCEEDED]);

/** How many days eight weeks have that begin on a Monday and end today. @param {string} today as "2026-11-30" */
export const daysShown = (today) => (WEEKS - 1) * 7 + ((new Date(`${today}T12:00:00Z`).getUTCDay() + 6) % 7) + 1;

/** A day in words. @param {Api.DAGDay} day @param {Intl.DateTimeFormatOptions} options */
export const dayText = ({ fromDate }, options) => timeText(new Date((fromDate + NOON) * 1000), options);

/** One row per status: its counts by day, and how large each is beside the largest. @param {Api.DAGDay[]} days */
export function rowsOf(days) {
  const countOf = (/** @type {Api.DAGDay} */ day, /** @type {number} */ status) =>
    day.counts.find((one) => one.status === status)?.count ?? 0;
  return ORDER.flatMap((status) => {
    const counts = days.map((day) => countOf(day, status));
    const most = Math.max(...counts);
    if (!most && !ALWAYS.has(/** @type {typeof RUN.FAILED} */ (status))) return [];
    const cells = counts.map((count) => ({ count, level: levelOf(count, most) }));
    return [{ status, look: runStatus(status), cells }];
  });
}

/** 0 for none, else 1 to 4; the largest of a row is 4. @param {number} count @param {number} most */
export const levelOf = (count, most) =>
  count && Math.max(1, Math.ceil((LEVELS * Math.log1p(count)) / Math.log1p(most) - 1e-9));

/** Weeks of days, from Mondays on: {first, length, old}, `old` for the first half. @param {Api.DAGDay[]} days */
export function weeksOf(days) {
  /** @type {{ first: Api.DAGDay, length: number, old: boolean }[]} */
  const weeks = [];
  for (const day of days) {
    const isMonday = new Date(`${day.date}T12:00:00Z`).getUTCDay() === 1;
    if (isMonday || !weeks.length) weeks.push({ first: day, length: 0, old: false });
    weeks[weeks.length - 1].length += 1;
  }
  return weeks.map((week, index) => ({ ...week, old: index < weeks.length - WEEKS / 2 }));
}
