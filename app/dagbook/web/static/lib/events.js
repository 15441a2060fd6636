// Parser of a run's own log, "time=… level=… msg=… name=value". Pure.

import { moment } from "./format.js";
import { unquote } from "./params.js";
import { firstAndLast } from "./runs.js";

/** @import { RunLogEvent } from "../../types/ui" */

const FIELD = /([A-Za-z_][\w.-]*)=("(?:[^"\\]|\\.)*"|\S*)/g;
const SAME = new Set(["dag", "dagRunId", "run-id"]); // equal in every line of one run

/** Rows {at, level, text, rest: [[name, value]]}; a line in another format is only text. @param {string} text */
export function eventsOf(text) {
  return text.split("\n").filter(Boolean).map(eventOf);
}

/** @param {string} line @returns {RunLogEvent} */
function eventOf(line) {
  const fields = [...line.matchAll(FIELD)].map(([, name, value]) => /** @type {const} */ ([name, unquote(value)]));
  const known = new Map(fields);
  if (!known.has("time") || !known.has("msg")) return { at: null, level: "", text: line, rest: [] };
  const rest = fields.filter(([name]) => !["time", "level", "msg"].includes(name) && !SAME.has(name));
  return { at: known.get("time") ?? null, level: known.get("level") ?? "", text: known.get("msg") ?? "", rest };
}

/** An event in words: its step ("" for the run), what happened, and details. @param {RunLogEvent} event */
export function sentenceOf({ text, rest }) {
  const { step = "", status, err, "exit-code": code, retry, execution, until, by, actor, trigger, ...others } =
    /** @type {Record<string, string | undefined>} */ (Object.fromEntries(rest));
  const said = (step ? text.replace(/^(step|handler) /, "") : text).replace(/^is not run$/, "did not run");
  // The line of a failed run that says why follows.
  const ended = status && (step || status !== "failed") ? said.replace(/finished$/, status.replaceAll("_", " ")) : said;
  const details = [
    (err && firstAndLast(err.replace(/^not run: /, ""))) || (code && code !== "0" && `exit code ${code}`),
    retry && `retry ${retry}`,
    execution && `execution ${execution}`,
    moment(until) && `at ${moment(until)}`,
    by && `by ${by}`,
    actor && `by ${actor}`,
    trigger && trigger !== "api" && `trigger ${trigger}`,
    ...Object.entries(others).map(([name, value]) => `${name} ${value}`),
  ];
  return { step, text: ended, details: details.filter(Boolean).join(", ") };
}
