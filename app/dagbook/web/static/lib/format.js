// Formatting of numbers, times and durations; times are in the zone of the page. Pure.

import { dayOf, knownZone, shownZone, timeText } from "./clock.js";

/** @type {Intl.DateTimeFormatOptions} */
const HOUR = { hour: "2-digit", minute: "2-digit" };

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
/** @type {[unit: Intl.RelativeTimeFormatUnit, seconds: number][]} */
const STEPS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/**
 * Seconds as "504 ms", "2.4 s", "12 s", "8 m 32 s", "1 h 04 m", "3 d 04 h"; `format_duration` of the command line
 * writes the same.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const [millis, tenths, whole] = [1000, 10, 1].map((part) => Math.round(seconds * part));
  if (millis < 1000) return `${Math.max(millis, 0)} ms`;
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(whole / unit));
  if (hours === 0) return `${minutes} m ${pad(whole % 60)} s`;
  return days === 0 ? `${hours} h ${pad(minutes % 60)} m` : `${days} d ${pad(hours % 24)} h`;
}

/** @param {number} number */
function pad(number) {
  return String(number).padStart(2, "0");
}

/** A time, or a text of the API that may mean none. @typedef {Date | string | null | undefined} Moment */

/** The time of a text of the API; null for "-" and "", which mean no time. @param {Moment} at */
export function instant(at) {
  if (!at || at === "-") return null;
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? null : time;
}

/** "3 minutes ago", "in 2 hours". @param {Date} time @param {number} [now] */
export function ago(time, now = Date.now()) {
  const seconds = (time.getTime() - now) / 1000;
  const [unit, size] = STEPS.find(([, least]) => Math.abs(seconds) >= least) ?? STEPS[STEPS.length - 1];
  return relative.format(Math.round(seconds / size), unit);
}

/** The exact time in the zone of the page, and in `other` if it differs. @param {Moment} at @param {string} [other] */
export function exact(at, other) {
  const time = instant(at);
  if (!time) return "";
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { dateStyle: "medium", timeStyle: "medium" };
  const text = timeText(time, options);
  const known = knownZone(other);
  return known && known !== shownZone() ? `${text} (${timeText(time, options, { other: known })} in ${other})` : text;
}

/** "14:32", with the date before it when that is not today. @param {Moment} at @param {Date} [now] */
export function clock(at, now = new Date()) {
  const time = instant(at);
  if (!time) return "";
  return dayOf(time) === dayOf(now) ? hour(time) : timeText(time, { month: "short", day: "numeric", ...HOUR });
}

/**
 * A time to come: "today 23:40", "tomorrow 03:00", "Tue, 1 Dec, 03:00", with the year if that is another one.
 * @param {Date} time
 * @param {Date} [now]
 */
export function dayAndTime(time, now = new Date()) {
  const day = dayOf(time);
  if (day === dayOf(now)) return `today ${hour(time)}`;
  if (day === dayOf(new Date(now.getTime() + 86400000))) return `tomorrow ${hour(time)}`;
  /** @type {Intl.DateTimeFormatOptions} */
  const year = day.slice(0, 4) === dayOf(now).slice(0, 4) ? {} : { year: "numeric" };
  return timeText(time, { weekday: "short", day: "numeric", month: "short", ...year, ...HOUR });
}

/** "14:32", without the date. @param {Date} time */
export function hour(time) {
  return timeText(time, HOUR);
}

/** "14:32:05.123". @param {Moment} at */
export function moment(at) {
  const time = instant(at);
  return time && timeText(time, { ...HOUR, second: "2-digit", fractionalSecondDigits: 3 }, { locale: "en-GB" });
}

/** Bytes as "12 B", "3.4 kB", "1.2 GB". @param {number} count */
export function bytes(count) {
  const names = ["B", "kB", "MB", "GB", "TB"];
  let [value, at] = [count, 0];
  while (value >= 1000 && at < names.length - 1) [value, at] = [value / 1000, at + 1];
  return `${at && value < 10 ? value.toFixed(1) : Math.round(value)} ${names[at]}`;
}

/** "1 run", "2 runs". @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** A short form of an id, with its start and end. @param {string} id */
export function short(id) {
  return id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-8)}` : id;
}

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

/** The duration of a run or node. @param {Timed} thing @param {number} [now] */
export const durationText = (thing, now) => duration(secondsOf(thing, now));

/** Seconds of a span, or null. @param {Timed} thing @param {number} [now] */
export function secondsOf(thing, now) {
  const span = spanOf(thing, now);
  return span && (span.to - span.from) / 1000;
}
