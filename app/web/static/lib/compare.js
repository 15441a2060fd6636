// What tells two runs apart: parameters, steps, and the first line that differs. Pure but for ComparedLogs, which reads.

import { get } from "./api.js";
import { written } from "./params.js";
import { nodesOf } from "./runs.js";
import { secondsOf } from "./spans.js";

const PAGE = 2000; // lines that are asked for at once
const MOST = 100_000; // lines, before one is asked whether to go on
const BEFORE = 3; // lines that are shown above the first that differs
const AFTER = 6; // and from it on
const NOTABLE = 0.5; // seconds: less is noise
const FACTOR = 1.2;

/** The parameters of two runs, by name or place: [{name, left, right, differs}]; undefined where one has none. */
export function compareParams(left, right) {
  const [one, other] = [byName(left), byName(right)];
  return [...new Set([...one.keys(), ...other.keys()])].map((name) => ({
    name,
    left: one.get(name),
    right: other.get(name),
    differs: one.get(name) !== other.get(name),
  }));
}

function byName(text) {
  let place = 0;
  return new Map(written(text).map(({ name, value }) => [name || String((place += 1)), value]));
}

/** Steps and handlers of two runs, in the order of the right one, then those that only the left one has. */
export function compareSteps(left, right, now) {
  const [ones, others] = [indexed(left), indexed(right)];
  return [...new Set([...others.keys(), ...ones.keys()])].map((name) => compareNodes(name, ones.get(name), others.get(name), now));
}

const indexed = (run) => new Map(nodesOf(run).map((node) => [node.step.name, node]));

function compareNodes(name, left, right, now) {
  const seconds = [left, right].map((node) => (node ? secondsOf(node, now) : null));
  const more = seconds.includes(null) ? null : seconds[1] - seconds[0];
  const [least, most] = [Math.min(...seconds), Math.max(...seconds)];
  const pace = more === null || Math.abs(more) < NOTABLE || most < least * FACTOR ? "" : more > 0 ? "slower" : "faster";
  const otherEnd = left?.status !== right?.status;
  return { name, left, right, seconds, more, pace, otherEnd, differs: otherEnd || pace !== "" };
}

/** The step to look at first: one that ended otherwise, preferring a failure, else the one whose time differs most. */
export function tellingStep(rows) {
  const failed = rows.find(({ otherEnd, right, left }) => otherEnd && (right?.status === 2 || left?.status === 2));
  const otherwise = failed ?? rows.find(({ otherEnd }) => otherEnd);
  if (otherwise) return otherwise.name;
  const slower = [...rows].filter(({ more }) => more !== null).sort((one, other) => Math.abs(other.more) - Math.abs(one.more));
  return (slower[0] ?? rows[0])?.name ?? null;
}

/** Goes through two logs side by side until a line differs; `same` says when two lines count as equal. */
export class ComparedLogs {
  constructor(paths, stream, same) {
    this.sides = paths.map((path) => ({ path, stream, from: 1, lines: [], total: null }));
    this.same = same;
    this.equal = 0; // lines
    this.control = new AbortController();
  }

  close() {
    this.control.abort();
  }

  /**
   * Go on; returns {equal, over, sides}: so many lines are equal, `over` is "differ", "end" (both did) or "" (there is more).
   * Each side has `total` and the lines around the first that differs, [{number, text}].
   */
  async read() {
    for (const end = this.equal + MOST; this.equal < end; ) {
      await Promise.all(this.sides.map((side) => this.fill(side)));
      const count = Math.min(...this.sides.map((side) => side.lines.length - this.offset(side)));
      const found = this.firstDifferent(count);
      this.equal += found;
      if (found < count || !count) return this.tell(this.sides.some((side) => side.total > this.equal) ? "differ" : "end");
    }
    return this.tell("");
  }

  offset(side) {
    return this.equal + 1 - side.from;
  }

  firstDifferent(count) {
    const [one, other] = this.sides.map((side) => side.lines.slice(this.offset(side), this.offset(side) + count));
    const at = one.findIndex((text, index) => !this.same(text, other[index]));
    return at < 0 ? count : at;
  }

  /** Have the next lines of a side, if there are any, and a few before them, which may be shown. */
  async fill(side, wanted = 1) {
    const rest = side.total === null ? wanted : side.total - this.equal;
    if (side.lines.length - this.offset(side) >= Math.min(wanted, rest)) return;
    const from = Math.max(1, this.equal + 1 - BEFORE);
    try {
      const page = await get(side.path, { stream: side.stream, offset: from, limit: PAGE }, { signal: this.control.signal });
      Object.assign(side, { from, total: page.totalLines, lines: page.lineCount ? page.content.split("\n") : [] });
    } catch (error) {
      if (error.status !== 404) throw error;
      side.total = 0; // a step that has not run has no log
    }
  }

  async tell(over) {
    await Promise.all(this.sides.map((side) => this.fill(side, AFTER)));
    const first = Math.max(1, this.equal + 1 - BEFORE);
    const sides = this.sides.map((side) => {
      const lines = side.lines.slice(first - side.from, this.offset(side) + AFTER);
      return { total: side.total ?? 0, lines: lines.map((text, index) => ({ number: first + index, text })) };
    });
    return { equal: this.equal, over, sides };
  }
}
