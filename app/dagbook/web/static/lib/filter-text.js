// The filter of a list as text, "status:failed tag:nightly after:yesterday error:"KeyError" orders": what is typed into
// its box, and the `q` of its address. A list declares its keys; words without a key are joined, and go to the key "".
// Times are in the zone of the page. Pure.

import { aheadOfUtc } from "./clock.js";

/** @import { FilterKey, FilterKeys, FilterPart, ReadFilter } from "../../types/ui" */

const PART = /(?:(?<key>[a-z]+):)?(?:(?<before>[^\s"]*)"(?<quoted>(?:[^"\\]|\\.)*)"?|(?<plain>\S+))/gu;
const UNITS = /** @type {Record<string, number>} */ ({ m: 60, h: 3600, d: 86_400, w: 604_800 });
const SECOND = 1000; // milliseconds
const DAY = UNITS.d * SECOND;
/** Times that quick filters offer. @type {[value: string, word: string][]} */
export const SPANS = [["1h", "last hour"], ["24h", "last 24 hours"], ["7d", "last 7 days"], ["30d", "last 30 days"]];

/** The parts of a text; a quote that is not closed ends with it. @param {string} text @returns {FilterPart[]} */
export function partsOf(text) {
  return [...text.matchAll(PART)].map((match) => {
    const { key = "", before = "", quoted, plain = "" } = match.groups ?? {};
    const value = quoted === undefined ? plain : before + quoted.replace(/\\(.)/gu, "$1");
    return { key, value, at: match.index, end: match.index + match[0].length };
  });
}

/**
 * The parameters of the API that a text stands for. A part with an unknown key or a wrong value is a problem, and
 * filters nothing.
 * @param {string} text
 * @param {FilterKeys} keys
 * @param {Date} [now]
 * @returns {ReadFilter}
 */
export function readFilter(text, keys, now = new Date()) {
  /** @type {ReadFilter} */
  const found = { params: {}, problems: [] };
  const words = [];
  const seen = new Set();
  for (const { key, value } of partsOf(text)) {
    const known = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (!key || (!known && value.startsWith("//"))) words.push(key ? `${key}:${value}` : value); // a URL is a word
    else if (!known) found.problems.push(unknown(key, keys));
    else if (value) add(found, key, known, value, now);
    if (known && key && !known.many && seen.has(key)) found.problems.push(`${key}: only the last of several counts`);
    seen.add(key);
  }
  if (words.length) add(found, "", keys[""], words.join(" "), now);
  return found;
}

/** @param {ReadFilter} found @param {string} key @param {FilterKey} known @param {string} value @param {Date} now */
function add({ params, problems }, key, known, value, now) {
  try {
    const read = known.read ? known.read(value, now) : value;
    if (typeof read === "object") Object.assign(params, read);
    else if (known.many) params[known.param] = [...(params[known.param] ?? []), read];
    else params[known.param] = read;
  } catch (error) {
    problems.push(`${key}: ${/** @type {Error} */ (error).message}`);
  }
}

/** @param {string} key @param {FilterKeys} keys */
const unknown = (key, keys) =>
  `${key}: is no key of this list, which has ${namesOf(keys)}; put text with a colon in quotes`;
/** @param {FilterKeys} keys */
export const namesOf = (keys) => Object.keys(keys).filter(Boolean).join(", ");

/** One part as text, quoted if it has to be. @param {string} key @param {string} value */
export function writePart(key, value) {
  const plain = key ? /^[^\s"]+$/u : /^[^\s":]+$/u;
  const text = plain.test(value) ? value : `"${value.replace(/["\\]/gu, "\\$&")}"`;
  return key ? `${key}:${text}` : text;
}

/** The text with one part for a key, or none. @param {string} text @param {string} key @param {string | null} value */
export function withPart(text, key, value) {
  const kept = partsOf(text).filter((part) => part.key !== key).map((part) => writePart(part.key, part.value));
  return [...kept, ...(value ? [writePart(key, value)] : [])].join(" ");
}

/**
 * The rows that fit, of a list that is loaded whole; `textsOf` are the texts of a row by parameter.
 * @template Row
 * @param {Row[]} rows
 * @param {Record<string, string>} params
 * @param {(row: Row) => Record<string, string | string[]>} textsOf
 */
export const matching = (rows, params, textsOf) => rows.filter((row) => Object.entries(params).every(([name, wanted]) =>
  [textsOf(row)[name]].flat().some((text) => text.toLowerCase().includes(wanted.toLowerCase()))));

/** @param {FilterKey} key */
const oldOf = ({ param, old = { [param]: (value) => value } }) => Object.entries(old);

/** The text of an address: `q`, and earlier filters. @param {URLSearchParams} query @param {FilterKeys} keys */
export function textIn(query, keys) {
  const parts = Object.entries(keys).flatMap(([key, known]) => oldOf(known).flatMap(([name, write]) =>
    query.getAll(name).filter(Boolean).map((value) => writePart(key, write(value)))));
  return [query.get("q"), ...parts].filter(Boolean).join(" ");
}

/** The changes of an address that make a text its filter. @param {string} text @param {FilterKeys} keys */
export function queryFor(text, keys) {
  const old = Object.values(keys).flatMap((known) => oldOf(known).map(([name]) => [name, null]));
  return { ...Object.fromEntries(old), page: null, q: text };
}

/**
 * What can be written at a place of the text, from `at` to `end`: keys, or the values of the key there.
 * @param {string} text
 * @param {number} caret
 * @param {FilterKeys} keys
 */
export function suggestionsAt(text, caret, keys) {
  const part = partsOf(text).find(({ at, end }) => at < caret && caret <= end);
  const [at, end] = part ? [part.at, part.end] : [caret, caret];
  const typed = text.slice(at, caret).toLowerCase();
  const [key, begun] = typed.includes(":") ? typed.split(/:"?/u, 2) : ["", typed];
  const fits = (/** @type {string} */ value) => value.toLowerCase().startsWith(begun);
  /** @type {[written: string, meaning: string][]} */
  const all = typed.includes(":")
    ? (Object.hasOwn(keys, key) ? (keys[key].values ?? []) : []).map(([value, word]) => [value, word])
    : Object.entries(keys).filter(([name]) => name).map(([name, { hint }]) => [name, `such as ${name}:${hint}`]);
  const found = all.filter(([value]) => fits(value)).map(([value, meaning]) =>
    ({ text: key ? `${writePart(key, value)} ` : `${value}:`, meaning: meaning === value ? "" : meaning }));
  return { at, end, found: found.length === 1 && found[0].text.trim() === text.slice(at, end) ? [] : found };
}

/** The time at which the clock of the page shows what one in UTC shows at `wall`. @param {number} wall */
function timeOfWall(wall) {
  const near = wall - aheadOfUtc(wall);
  return String(Math.floor((wall - aheadOfUtc(near)) / SECOND));
}

/**
 * A time as Unix seconds: today, yesterday, 30m, 12h, 7d, 2w (ago), 2026-11-30, 2026-11-30T14:05.
 * @param {string} value
 * @param {Date} now
 */
export function readTime(value, now) {
  const today = Math.floor((now.getTime() + aheadOfUtc(now.getTime())) / DAY) * DAY;
  if (value === "today" || value === "yesterday") return timeOfWall(value === "today" ? today : today - DAY);
  const ago = /^(?<count>\d{1,5})(?<unit>[mhdw])$/u.exec(value)?.groups;
  if (ago) return String(Math.floor(now.getTime() / SECOND / UNITS.m) * UNITS.m - Number(ago.count) * UNITS[ago.unit]);
  const [, day, time] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?))?$/u.exec(value) ?? [];
  const wall = Date.parse(`${day}T${time ?? "00:00"}Z`);
  if (Number.isNaN(wall))
    throw new Error(`"${value}" is no time; write today, yesterday, 12h, 7d, 2026-11-30 or 2026-11-30T14:05`);
  return timeOfWall(wall);
}

/** Unix seconds of an address of earlier versions as a time that `readTime` reads. @param {string} value */
export function writeTime(value) {
  const at = Number(value) * SECOND;
  if (!(at >= 0 && at < 8e15)) return value;
  const wall = new Date(at + aheadOfUtc(at)).toISOString().slice(0, 19);
  return wall.replace(/:00$/u, "").replace(/T00:00$/u, "");
}

/** The reader of values that have a form. @param {RegExp} pattern @param {string} form in words, with an article */
export const like = (pattern, form) => (/** @type {string} */ value) => {
  if (!pattern.test(value)) throw new Error(`"${value}" is not ${form}`);
  return value;
};
