// The overview of all DAGs: its ranges, bars and axes, what was seen, and what starts next. Pure.

import { aheadOfUtc, timeText } from "./clock.js";
import { clock, hour } from "./format.js";
import { BY_URGENCY } from "./runs.js";
import { RUN_STATUSES, isActive, lookOfRow } from "./status.js";

/** The key of each range in addresses, its title, and its words in a sentence. @type {[string, string, string][]} */
export const RANGES = [
  ["night", "Last night", "last night"],
  ["24h", "24 hours", "in 24 hours"],
  ["7d", "7 days", "in 7 days"],
  ["30d", "30 days", "in 30 days"],
];
export const PER_DAY = 24; // starts of a DAG that are asked for
const DAY = 86400000; // milliseconds
const HOUR = 3600000;
const STEPS = [1, 2, 3, 4, 6].map((hours) => hours * HOUR);
const TICKS = 4; // at most: a 12-hour clock has wide ones
const LABELS = 6; // of bars, at most
const MOST_SEEN = 200;

/** @typedef {{ key: string, look: import("../../types/ui").Look, count: number }} Count */

/** How many runs have each status, the most urgent first. @param {Api.OverviewCount[]} counts @returns {Count[]} */
export function countsOf(counts) {
  const numberOf = (/** @type {Count["look"]} */ look) =>
    counts.reduce((sum, one) => sum + (lookOfRow(one) === look ? one.count : 0), 0);
  const all = RUN_STATUSES.map(({ key, look }) => ({ key, look, count: numberOf(look) }));
  const rank = (/** @type {Count} */ { look }) => BY_URGENCY.indexOf(look.tone);
  return all.filter(({ count }) => count).sort((one, other) => rank(one) - rank(other));
}

/** The top of the axis: the next round number, of which half is a number of runs, too. @param {number} most */
export function topOf(most) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return Math.max(2, ...[2, 4, 6, 8, 10].map((times) => times * unit).filter((top) => top >= most).slice(0, 1));
}

/** The time of a bar: "14:00 to 15:00", "Mon, 30 Nov". @param {Api.OverviewBar} bar @param {"hour" | "day"} unit */
export function whenOf({ fromDate, toDate }, unit) {
  const [from, to] = [fromDate, toDate].map((seconds) => new Date(seconds * 1000));
  if (unit === "hour") return `${clock(from)} to ${hour(to)}`;
  return timeText(from, { weekday: "short", day: "numeric", month: "short" });
}

/**
 * The label of a bar on the axis; empty for most, so that they can be read.
 * @param {Api.OverviewBar} bar
 * @param {number} index
 * @param {Api.Overview} found
 */
export function labelOf({ fromDate }, index, { bars, unit }) {
  if ((bars.length - 1 - index) % Math.ceil(bars.length / LABELS)) return "";
  const from = new Date(fromDate * 1000);
  return unit === "hour" ? hour(from) : timeText(from, { day: "numeric", month: "short" });
}

/** Round times on an axis, with their places in percent. @param {{ from: number, to: number }} axis in milliseconds */
export function ticksOf({ from, to }) {
  const step = STEPS.find((one) => (to - from) / one <= TICKS) ?? STEPS[STEPS.length - 1];
  const shift = -aheadOfUtc(to);
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    ticks.push({ text: hour(new Date(at)), left: ((at - from) / (to - from)) * 100 });
  }
  return ticks;
}

/** When failures were marked as seen: the end of the newest one, in milliseconds, by group. */
/** @typedef {Record<string, number>} Seen */

/** @param {Seen} seen @param {Api.FailureGroup} group */
export const isSeen = (seen, { id, lastAt }) => (seen[id] ?? 0) >= Date.parse(lastAt);

/** Mark failures as seen up to the newest one. @param {Seen} seen @param {Api.FailureGroup[]} groups @returns {Seen} */
export function withSeen(seen, groups) {
  const all = { ...seen, ...Object.fromEntries(groups.map(({ id, lastAt }) => [id, Date.parse(lastAt)])) };
  return Object.fromEntries(Object.entries(all).sort(([, one], [, other]) => other - one).slice(0, MOST_SEEN));
}

/** Whether the DAG works again or tries to. @param {Api.FailureGroup} group @returns {import("../../types/ui").Look} */
export function lookOfFailure({ fixed, latest }) {
  if (fixed) return { word: "fixed", icon: "check", tone: "good" };
  if (latest && isActive(latest.status)) return lookOfRow(latest);
  return { word: "failed", icon: "cross", tone: "bad" };
}

/**
 * The starts of each DAG within 24 hours, in the order of the first ones: their places in percent. Of a DAG that is
 * `dense` more follow, because only some were asked for.
 * @param {Api.Upcoming[]} upcoming
 * @param {number} now
 */
export function nextDay(upcoming, now) {
  const placeOf = (/** @type {Api.Upcoming} */ { at }) => ((Date.parse(at) - now) / DAY) * 100;
  const starts = upcoming.filter((one) => one.kind === "start" && !one.suspended);
  return [...Map.groupBy(starts, ({ fileName }) => fileName).values()]
    .map((all) => all.filter((one) => placeOf(one) >= 0 && placeOf(one) <= 100))
    .filter((coming) => coming.length)
    .map((coming) => ({ first: coming[0], dense: coming.length >= PER_DAY,
      marks: coming.map((one) => ({ at: one.at, left: placeOf(one) })) }));
}
