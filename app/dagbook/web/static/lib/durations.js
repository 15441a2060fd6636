// Spans and durations of runs and nodes. Pure.

import { duration, instant } from "./format.js";

/**
 * The span of a run or node in milliseconds, up to now while it is running; null when it has not started.
 * @param {{ startedAt?: string, finishedAt?: string, startedAtMillis?: number, finishedAtMillis?: number }} thing
 * @param {number} [now]
 */
export function spanOf({ startedAt, finishedAt, startedAtMillis, finishedAtMillis }, now = Date.now()) {
  const from = startedAtMillis ?? instant(startedAt)?.getTime();
  if (from === undefined) return null;
  const to = finishedAtMillis ?? instant(finishedAt)?.getTime() ?? now;
  return { from, to: Math.max(from, to) };
}

/**
 * The duration of a run or node.
 * @param {Timed} thing
 * @param {number} [now]
 */
export const durationText = (thing, now) => duration(secondsOf(thing, now));

/**
 * Seconds of a span, or null.
 * @param {Timed} thing
 * @param {number} [now]
 */
export function secondsOf(thing, now) {
  const span = spanOf(thing, now);
  return span && (span.to - span.from) / 1000;
}
