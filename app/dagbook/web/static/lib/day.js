// The runs of a day on an axis that is fitted to them. Pure.

import { aheadOfUtc } from "./clock.js";
import { hour } from "./format.js";
import { spanOf } from "./durations.js";
import { RUN, isActive } from "./status.js";

const MINUTE = 60000; // milliseconds
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360].map((minutes) => minutes * MINUTE);
const SHORTEST = 5 * MINUTE; // of an axis
const TICKS = 6; // at most
const SLOTS = 80; // per row: short runs of one slot are one bar

/** @typedef {{ from: number, to: number }} Axis in milliseconds */
/**
 * Runs that are drawn as one bar, newest first; left and width in percent.
 * @typedef {{ key: string, runs: RunSummary[], failed: boolean, left: number, width: number, from: number }} Bar
 */

/**
 * The axis from the first run, not before `since`, up to now.
 * @param {RunSummary[]} runs
 * @param {number} since
 * @param {number} now
 * @returns {Axis}
 */
export function axisOf(runs, since, now) {
  const first = Math.min(now, ...runs.map((run) => beginOf(run, now)));
  const from = Math.max(since, Math.min(first, now - SHORTEST));
  return { from: Math.max(since, from - (now - from) * 0.01), to: now };
}

/**
 * When a run began; one that has not begun stands where it was queued.
 * @param {RunSummary} run
 * @param {number} now
 */
const beginOf = (run, now) => spanOf(run, now)?.from ?? spanOf({ startedAt: run.queuedAt }, now)?.from ?? now;

/**
 * Round times of day on the axis, with their places in percent.
 * @param {Axis} axis
 */
export function ticksOf({ from, to }) {
  const step = STEPS.find((one) => (to - from) / one <= TICKS) ?? STEPS[STEPS.length - 1];
  const shift = -aheadOfUtc(to);
  const ticks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) {
    ticks.push({ text: hour(new Date(at)), left: ((at - from) / (to - from)) * 100 });
  }
  return ticks;
}

/**
 * The bars of one row, the earliest first. A failed run is never in one bar with others.
 * @param {RunSummary[]} runs newest first
 * @param {Axis} axis
 */
export function barsOf(runs, { from, to }) {
  /** @type {Map<string, Bar>} */
  const bars = new Map();
  for (const run of runs) {
    const begin = Math.max(from, beginOf(run, to));
    const left = ((begin - from) / (to - from)) * 100;
    const width = ((Math.max(begin, spanOf(run, to)?.to ?? begin) - begin) / (to - from)) * 100;
    const failed = run.status === RUN.FAILED;
    const short = width <= 100 / SLOTS && !isActive(run.status);
    const key = short ? `${failed} ${Math.floor((left * SLOTS) / 100)}` : run.dagRunId;
    const bar = bars.get(key) ?? { key, runs: [], failed, left, width, from: begin };
    bar.width = Math.max(bar.left + bar.width, left + width) - Math.min(bar.left, left);
    bar.left = Math.min(bar.left, left);
    bar.from = Math.min(bar.from, begin);
    bar.runs.push(run);
    bars.set(key, bar);
  }
  return [...bars.values()].sort((one, other) => one.from - other.from);
}
