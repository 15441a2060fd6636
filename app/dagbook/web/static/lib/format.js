// Formatting of numbers and times; times are in the zone of the page. Pure.

import { dayOf, knownZone, shownZone, timeText } from "./clock.js";

/** @type {Intl.DateTimeFormatOptions} */
const HOUR = { hour: "2-digit", minute: "2-digit" };

/** @type {[name: string, seconds: number][]} */
const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["m", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
/** @type {[unit: Intl.RelativeTimeFormatUnit, seconds: number][]} */
const STEPS = [
  ["year", 31536000],
  ["month", 2592000],
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/**
 * Seconds as "12 ms", "3.4 s", "2 m 05 s", "1 h 02 m", "3 d 4 h".
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
  const [first, second] = whole < 86400 ? [1, 2] : [0, 1];
  const rest = whole % UNITS[first][1];
  const [large, small] = [UNITS[first], UNITS[second]];
  return `${Math.floor(whole / large[1])} ${large[0]} ${pad(Math.floor(rest / small[1]))} ${small[0]}`;
}

/**
 * A duration between times with whole seconds: "2 s", "under 1 s".
 * @param {number | null | undefined} seconds
 */
export function roughly(seconds) {
  if (seconds === null || seconds === undefined || seconds >= 60) return duration(seconds);
  return seconds < 1 ? "under 1 s" : `${Math.round(seconds)} s`;
}

/** @param {number} number */
function pad(number) {
  return String(number).padStart(2, "0");
}

/**
 * Parse a time of the API; null for "-" and "", which mean no time.
 * @param {string | null | undefined} text
 */
export function instant(text) {
  if (!text || text === "-") return null;
  const time = new Date(text);
  return Number.isNaN(time.getTime()) ? null : time;
}

/**
 * Seconds between two times of the API; up to now if the second is missing.
 * @param {string | undefined} from
 * @param {string | null | undefined} to
 * @param {number} [now]
 */
export function between(from, to, now = Date.now()) {
  const begin = instant(from);
  if (!begin) return null;
  return Math.max(0, ((instant(to)?.getTime() ?? now) - begin.getTime()) / 1000);
}

/**
 * "3 minutes ago", "in 2 hours".
 * @param {Date} time
 * @param {number} [now]
 */
export function ago(time, now = Date.now()) {
  const seconds = (time.getTime() - now) / 1000;
  const [unit, size] = STEPS.find(([, least]) => Math.abs(seconds) >= least) ?? STEPS[STEPS.length - 1];
  return relative.format(Math.round(seconds / size), unit);
}

/**
 * The exact time in the zone of the page, and in `other` if that is another one.
 * @param {Date} time
 * @param {string} [other]
 */
export function exact(time, other) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { dateStyle: "medium", timeStyle: "medium" };
  const text = timeText(time, options);
  const known = knownZone(other);
  return known && known !== shownZone() ? `${text} (${timeText(time, options, { other: known })} in ${other})` : text;
}

/**
 * "14:32", with the date before it when that is not today.
 * @param {Date} time
 * @param {Date} [now]
 */
export function clock(time, now = new Date()) {
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

/**
 * "14:32", without the date.
 * @param {Date} time
 */
export function hour(time) {
  return timeText(time, HOUR);
}

/**
 * "14:32:05.123".
 * @param {Date} time
 */
export function moment(time) {
  return timeText(time, { ...HOUR, second: "2-digit", fractionalSecondDigits: 3 }, { locale: "en-GB" });
}

/**
 * Bytes as "12 B", "3.4 kB", "1.2 GB".
 * @param {number} count
 */
export function bytes(count) {
  const names = ["B", "kB", "MB", "GB", "TB"];
  let [value, at] = [count, 0];
  while (value >= 1000 && at < names.length - 1) [value, at] = [value / 1000, at + 1];
  return `${at && value < 10 ? value.toFixed(1) : Math.round(value)} ${names[at]}`;
}

/**
 * "1 run", "2 runs".
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * A short form of an id, with its start and end.
 * @param {string} id
 */
export function short(id) {
  return id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-8)}` : id;
}
