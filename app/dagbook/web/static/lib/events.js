// Parser of a run's own log, "time=… level=… msg=… name=value". Pure.

const FIELD = /([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)/g;
const SAME = new Set(["dag", "dagRunId", "run-id"]); // equal in every line of one run

/**
 * @typedef {object} RunLogEvent
 * @property {string | null} at
 * @property {string} level
 * @property {string} text
 * @property {(readonly [name: string, value: string])[]} rest
 */

/**
 * Rows {at, level, text, rest: [[name, value]]}; a line in another format is only text.
 * @param {string} text
 */
export function eventsOf(text) {
  return text.split("\n").filter(Boolean).map(eventOf);
}

/**
 * @param {string} line
 * @returns {RunLogEvent}
 */
function eventOf(line) {
  const fields = [...line.matchAll(FIELD)].map(([, name, value]) => /** @type {const} */ ([name, unquote(value)]));
  const known = new Map(fields);
  if (!known.has("time") || !known.has("msg")) return { at: null, level: "", text: line, rest: [] };
  const rest = fields.filter(([name]) => !["time", "level", "msg"].includes(name) && !SAME.has(name));
  return { at: known.get("time") ?? null, level: known.get("level") ?? "", text: known.get("msg") ?? "", rest };
}

/** @param {string} value */
function unquote(value) {
  if (!value.startsWith('"')) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value.slice(1, -1);
  }
}
