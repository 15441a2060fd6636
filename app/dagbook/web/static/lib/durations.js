// From when to when something ran, in milliseconds. Pure.

import { duration, instant, roughly } from "./format.js";

/**
 * The span of a run or node, to now while it goes on; null when it has not begun.
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
 * How long something took, as exactly as its ends are known.
 * @param {Timed} thing
 * @param {number} [now]
 */
export function durationText(thing, now) {
  const exactly = thing.startedAtMillis !== undefined && thing.finishedAtMillis !== undefined;
  return (exactly ? duration : roughly)(secondsOf(thing, now));
}

/**
 * Seconds of a span, or null.
 * @param {Timed} thing
 * @param {number} [now]
 */
export function secondsOf(thing, now) {
  const span = spanOf(thing, now);
  return span && (span.to - span.from) / 1000;
}
