// Comparison of two runs: parameters, steps, and the first differing line of a log. Only ComparedLogs sends requests.

import { HTTP, asError, get } from "./api.js";
import { pairsOf } from "./params.js";
import { nodesOf } from "./runs.js";
import { secondsOf } from "./format.js";
import { NODE } from "./status.js";

/** @import { ComparedLog, ComparedStep, LogPath, LogSide } from "../../types/ui" */

const PAGE = 2000; // lines per request
const MOST = 100_000; // lines, before the user is asked whether to continue
const BEFORE = 3; // lines shown above the first differing one
const AFTER = 6; // lines shown from it on
const NOTABLE = 0.5; // seconds: a smaller difference is noise
const FACTOR = 1.2;

/**
 * The parameters of two runs, by name or position: [{name, left, right, differs}]; undefined where a run has none.
 * @param {string[]} [left] each as "NAME=value"
 * @param {string[]} [right]
 */
export function compareParams(left, right) {
  const [one, other] = [byName(left), byName(right)];
  return [...new Set([...one.keys(), ...other.keys()])].map((name) =>
    ({ name, left: one.get(name), right: other.get(name), differs: one.get(name) !== other.get(name) }));
}

/** @param {string[]} [list] */
const byName = (list) => new Map(pairsOf(list).map(({ name, value }) => [name, value]));

/**
 * Steps and handlers of two runs, in the order of the right run, then those of the left run only.
 * @param {Run} left
 * @param {Run} right
 * @param {number} now
 */
export function compareSteps(left, right, now) {
  const [ones, others] = [indexed(left), indexed(right)];
  return [...new Set([...others.keys(), ...ones.keys()])].map((name) =>
    compareNodes(name, ones.get(name), others.get(name), now));
}

const indexed = (/** @type {Run} */ run) => new Map(nodesOf(run).map((node) => [node.step.name, node]));

/**
 * @param {string} name
 * @param {Api.Node | undefined} left
 * @param {Api.Node | undefined} right
 * @param {number} now
 * @returns {ComparedStep}
 */
function compareNodes(name, left, right, now) {
  const [one, other] = [left ? secondsOf(left, now) : null, right ? secondsOf(right, now) : null];
  const more = one === null || other === null ? null : other - one;
  const pace = one === null || other === null ? "" : paceOf(one, other);
  const otherEnd = left?.status !== right?.status;
  return { name, left, right, seconds: [one, other], more, pace, otherEnd, differs: otherEnd || pace !== "" };
}

/** Whether the second took notably longer or shorter than the first. @param {number} one @param {number} other */
function paceOf(one, other) {
  if (Math.abs(other - one) < NOTABLE || Math.max(one, other) < Math.min(one, other) * FACTOR) return "";
  return other > one ? "slower" : "faster";
}

/** The key step: of another status, preferably failed, else of the largest difference. @param {ComparedStep[]} rows */
export function keyStepOf(rows) {
  const failed = rows.find(({ otherEnd, right, left }) =>
    otherEnd && (right?.status === NODE.FAILED || left?.status === NODE.FAILED));
  const otherwise = failed ?? rows.find(({ otherEnd }) => otherEnd);
  if (otherwise) return otherwise.name;
  const slower = rows.filter(({ more }) => more !== null)
    .sort((one, other) => Math.abs(other.more ?? 0) - Math.abs(one.more ?? 0));
  return (slower[0] ?? rows[0])?.name ?? null;
}

/** Reader of two logs in parallel up to the first differing line; lines are equal if `form` makes the same of them. */
export class ComparedLogs {
  /** @param {[LogPath, LogPath]} paths @param {Stream} stream @param {(line: string) => string} form */
  constructor(paths, stream, form) {
    /** @type {LogSide[]} */
    this.sides = paths.map((path) => ({ path, stream, from: 1, lines: [], total: null }));
    this.form = form;
    this.equal = 0; // lines
    this.control = new AbortController();
  }

  close() {
    this.control.abort();
  }

  /**
   * Continue the comparison; returns {equal, over, sides}: the number of equal lines, and why it stopped:
   * "differ", "end" (of both logs) or "" (there are more lines).
   * Each side has `total` and the lines around the first differing one, [{number, text}].
   */
  async read() {
    for (const end = this.equal + MOST; this.equal < end;) {
      await Promise.all(this.sides.map((side) => this.fill(side)));
      const count = Math.min(...this.sides.map((side) => side.lines.length - this.offset(side)));
      const found = this.firstDifferent(count);
      this.equal += found;
      if (found < count || !count)
        return this.result(this.sides.some((side) => (side.total ?? 0) > this.equal) ? "differ" : "end");
    }
    return this.result("");
  }

  /** @param {LogSide} side */
  offset(side) {
    return this.equal + 1 - side.from;
  }

  /** @param {number} count */
  firstDifferent(count) {
    const [one, other] = this.sides.map((side) => side.lines.slice(this.offset(side), this.offset(side) + count));
    const at = one.findIndex((text, index) => this.form(text) !== this.form(other[index]));
    return at < 0 ? count : at;
  }

  /** Fetch the next lines of a side and a few before them, as context. @param {LogSide} side @param {number} wanted */
  async fill(side, wanted = 1) {
    const rest = side.total === null ? wanted : side.total - this.equal;
    if (side.lines.length - this.offset(side) >= Math.min(wanted, rest)) return;
    const from = Math.max(1, this.equal + 1 - BEFORE);
    try {
      const page = await get(side.path, { stream: side.stream, offset: from, limit: PAGE },
        { signal: this.control.signal });
      Object.assign(side, { from, total: page.totalLines ?? 0, lines: page.lineCount ? page.content.split("\n") : [] });
    } catch (error) {
      if (asError(error).status !== HTTP.NOT_FOUND) throw error;
      side.total = 0; // a step that has not run has no log
    }
  }

  /** @param {"differ" | "end" | ""} over @returns {Promise<ComparedLog>} */
  async result(over) {
    await Promise.all(this.sides.map((side) => this.fill(side, AFTER)));
    const first = Math.max(1, this.equal + 1 - BEFORE);
    const sides = this.sides.map((side) => {
      const lines = side.lines.slice(first - side.from, this.offset(side) + AFTER);
      return { total: side.total ?? 0, lines: lines.map((text, index) => ({ number: first + index, text })) };
    });
    return { equal: this.equal, over, sides };
  }
}
