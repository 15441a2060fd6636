// Cron expressions in words. Pure.

/** @typedef {{ low: number, high: number, names?: string[] }} Field */
/** @typedef {{ text: string, often: boolean }} DayTimes `often` when it does not name each time */

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/** @type {Field[]} */
const FIELDS = [
  { low: 0, high: 59 },
  { low: 0, high: 23 },
  { low: 1, high: 31 },
  { low: 1, high: 12, names: MONTHS },
  { low: 0, high: 6, names: DAYS },
];
const PREFIX = /^(?:CRON_)?TZ=(\S+)\s+/;
const PART = /^(?:[*?]|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/;
const ENDINGS = ["th", "st", "nd", "rd"];
const FEW = 3; // times that are listed even if they are regular
const LISTED = 8; // irregular times

/** The time zone that an expression names; empty for that of the server. @param {string} expression */
export const zoneIn = (expression) => PREFIX.exec(expression.trim())?.[1] ?? "";

/**
 * "every 5 minutes", "Monday to Friday at 07:00"; empty if the expression is not valid. Times are in its own zone.
 * @param {string} expression
 */
export function cronText(expression) {
  const parts = expression.trim().replace(PREFIX, "").split(/\s+/);
  if (parts.length !== FIELDS.length) return "";
  const [minutes, hours, days, months, weekdays] = parts.map((part, index) => valuesOf(part, FIELDS[index]));
  if (![minutes, hours, days, months, weekdays].every((values) => values.length)) return "";
  const either = !isAny(parts[2]) && !isAny(parts[4]);
  const { text, often } = timesOf(minutes, hours);
  const on = daysText(days, months, weekdays, either);
  if (often) return on ? `${text}, ${on}` : text;
  return `${on || "every day"} ${text}`;
}

/**
 * The sorted values of a field; none if it is not valid.
 * @param {string} text
 * @param {Field} field
 */
function valuesOf(text, { low, high, names = [] }) {
  const numberOf = (/** @type {string} */ value) => /^\d+$/.test(value) ? Number(value)
    : names.findIndex((name) => name.slice(0, 3).toUpperCase() === value.toUpperCase()) + low;
  /** @type {Set<number>} */
  const found = new Set();
  for (const part of text.split(",").filter(Boolean)) {
    const match = PART.exec(part);
    if (!match) return [];
    const [, first, last, step] = match;
    const from = first === undefined ? low : numberOf(first);
    const to = last !== undefined ? numberOf(last) : first === undefined || step !== undefined ? high : from;
    if (from < low || to > high || from > to || Number(step ?? 1) < 1) return [];
    for (let value = from; value <= to; value += Number(step ?? 1)) found.add(value);
  }
  return [...found].sort((one, other) => one - other);
}

/**
 * Whether a day field allows every day: then the other one decides, else a day that either field names is enough.
 * @param {string} text
 */
const isAny = (text) => text.split(",").some((part) => /^[*?](\/0*1)?$/.test(part));

/**
 * @param {number[]} minutes
 * @param {number[]} hours
 * @returns {DayTimes}
 */
function timesOf(minutes, hours) {
  const times = hours.flatMap((hour) => minutes.map((minute) => `${two(hour)}:${two(minute)}`));
  const [first, last] = [times[0], times[times.length - 1]];
  const said = (/** @type {string} */ text) => ({ text, often: true });
  if (times.length <= FEW) return { text: `at ${list(times)}`, often: false };
  if (hours.length === 24) return said(hourly(minutes));
  const [apart, between] = [distance(hours), distance(minutes)];
  if (minutes.length === 1 && apart) {
    const whole = hours.length * apart === 24;
    return said(`every ${apart === 1 ? "hour" : `${apart} hours`} from ${first}${whole ? "" : ` to ${last}`}`);
  }
  if ((apart === 1 || hours.length === 1) && between * minutes.length === 60)
    return said(`${every(between, "minute")} from ${first} to ${last}`);
  if (times.length <= LISTED) return { text: `at ${list(times)}`, often: false };
  return said(`${minutesText(minutes)} of ${hoursText(hours, apart)}`);
}

/** Times of every hour. @param {number[]} minutes */
function hourly(minutes) {
  const between = distance(minutes);
  if (between * minutes.length === 60) return minutesText(minutes);
  return between ? `${minutesText(minutes)} of every hour` : `every hour at ${list(minutes.map(colon))}`;
}

/** @param {number[]} minutes */
function minutesText(minutes) {
  const between = distance(minutes);
  if (!between) return `at ${list(minutes.map(colon))}`;
  const [first, last] = [minutes[0], minutes[minutes.length - 1]];
  if (between * minutes.length === 60) return every(between, "minute") + (first ? ` from ${colon(first)}` : "");
  return `${every(between, "minute")} from ${colon(first)} to ${colon(last)}`;
}

/**
 * @param {number[]} hours
 * @param {number} apart
 */
function hoursText(hours, apart) {
  if (!apart) return `${hours.length === 1 ? "the hour" : "the hours"} ${list(hours.map(two))}`;
  return `every ${apart === 1 ? "hour" : `${ordinal(apart)} hour`} from ${two(hours[0])} to ${two(
    hours[hours.length - 1])}`;
}

/**
 * Which days; empty for all.
 * @param {number[]} days
 * @param {number[]} months
 * @param {number[]} weekdays
 * @param {boolean} either whether a day of either field is enough
 */
function daysText(days, months, weekdays, either) {
  const inMonths = months.length === 12 ? "" : series(months, (month) => MONTHS[month - 1]);
  const [anyDay, anyWeekday] = [days.length === 31, weekdays.length === 7];
  if ((anyDay && anyWeekday) || (either && (anyDay || anyWeekday))) return inMonths && `every day in ${inMonths}`;
  const onDays = anyDay ? "" : `on ${datesText(days)} of ${inMonths || "every month"}`;
  if (anyWeekday) return onDays;
  const names = series(weekdays.map((day) => day || 7).sort((one, other) => one - other), (day) => DAYS[day]);
  const onWeekdays = (names.includes(" to ") ? names : `every ${names}`) + (inMonths && ` in ${inMonths}`);
  return onDays ? `${onDays} and also ${onWeekdays}` : onWeekdays;
}

/** @param {number[]} days */
function datesText(days) {
  const apart = distance(days);
  const [first, last] = [days[0], days[days.length - 1]];
  if (apart > 1 && days.length > FEW)
    return `every ${ordinal(apart)} day from the ${ordinal(first)} to the ${ordinal(last)}`;
  return `the ${series(days, ordinal)}`;
}

/**
 * The distance between values, if it is the same between at least three, or half an hour between two minutes; else 0.
 * @param {number[]} values
 */
function distance(values) {
  const apart = values[1] - values[0];
  const enough = values.length >= FEW || (values.length === 2 && apart === 30);
  return enough && values.every((value, index) => value === values[0] + index * apart) ? apart : 0;
}

/**
 * @param {number[]} values
 * @param {(value: number) => string} name
 */
const series = (values, name) => distance(values) === 1
  ? `${name(values[0])} to ${name(values[values.length - 1])}` : list(values.map(name));

/** @param {string[]} words */
const list = (words) => [words.slice(0, -1).join(", "), words[words.length - 1]].filter(Boolean).join(" and ");
/** @param {number} count @param {string} unit */
const every = (count, unit) => (count === 1 ? `every ${unit}` : `every ${count} ${unit}s`);
/** @param {number} value */
const two = (value) => String(value).padStart(2, "0");
/** @param {number} minute */
const colon = (minute) => `:${two(minute)}`;
/** @param {number} value */
const ordinal = (value) => `${value}${value > 10 && value < 14 ? "th" : (ENDINGS[value % 10] ?? "th")}`;
