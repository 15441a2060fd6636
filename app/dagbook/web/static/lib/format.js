// Formatting of numbers and times. Pure.

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
 * The exact time in the viewer's time zone, and in `zone` if it is given.
 * @param {Date} time
 * @param {string} [zone]
 */
export function exact(time, zone) {
  /** @type {Intl.DateTimeFormatOptions} */
  const options = { dateStyle: "medium", timeStyle: "medium" };
  const own = new Intl.DateTimeFormat(undefined, options).format(time);
  if (!zone) return own;
  try {
    return `${own} (${new Intl.DateTimeFormat(undefined, { ...options, timeZone: zone }).format(time)} in ${zone})`;
  } catch {
    return own; // the browser does not know the zone
  }
}

/**
 * "14:32", with the date before it when that is not today.
 * @param {Date} time
 * @param {Date} [now]
 */
export function clock(time, now = new Date()) {
  const today = time.toDateString() === now.toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const options = today ? {} : { month: "short", day: "numeric" };
  return new Intl.DateTimeFormat(undefined, { ...options, hour: "2-digit", minute: "2-digit" }).format(time);
}

/**
 * "14:32" in the viewer's time zone, without the date.
 * @param {Date} time
 */
export function hour(time) {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(time);
}

/**
 * "14:32:05.123" in the viewer's zone.
 * @param {Date} time
 */
export function moment(time) {
  return new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
  }).format(time);
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
