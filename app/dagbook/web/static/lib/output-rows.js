// Rows of output from the pieces that the server received, groups of lines, and folded ranges. Pure.

import { styleAfter } from "./ansi.js";

/** @import { Fold, OutputPiece, OutputRow, Part, Section, Source } from "../../types/ui" */

/**
 * Rows of consecutive pieces. What continues an incomplete line belongs to its row: in the output of a step with both
 * streams also what the other stream wrote, since their lines are counted as one.
 * @param {OutputPiece[]} pieces
 * @param {boolean} merged
 */
export function rowsOf(pieces, merged) {
  /** @type {OutputRow[]} */
  const rows = [];
  let open = ""; // the key of the last row if it is incomplete
  for (const piece of pieces) {
    const { stream, execution, at } = piece;
    const source = piece.step === undefined ? null
      : { step: piece.step, runId: piece.dagRunId ?? null, dag: piece.dagName ?? null };
    const key = JSON.stringify([piece.step, piece.dagRunId, merged || stream]);
    const lines = piece.text.split("\n");
    const isComplete = lines.at(-1) === "";
    if (isComplete) lines.pop();
    lines.forEach((text, index) => {
      const row = index === 0 && open === key ? rows.at(-1) : undefined;
      const part = row?.parts.at(-1);
      if (part?.stream === stream && part.execution === execution) part.text += text;
      else if (row) row.parts.push({ stream, execution, at, text });
      else rows.push({ number: piece.line + index, parts: [{ stream, execution, at, text }], source });
    });
    open = isComplete ? "" : key;
  }
  return rows;
}

/** Give each part the style at its start: a colour lasts until its stream resets it. @param {OutputRow[]} rows */
export function paint(rows) {
  /** @type {Map<string, import("../../types/ui").Style>} */
  const styles = new Map();
  for (const { parts, source } of rows) {
    for (const part of parts) {
      const key = `${part.stream} ${idOf(source)}`;
      part.style = styles.get(key);
      if (part.style || part.text.includes("\x1b")) styles.set(key, styleAfter(part.text, part.style));
    }
  }
  return rows;
}

/** The key of a step and its sub-run. @param {Source | null} source */
export const idOf = (source) => `${source?.runId} ${source?.step}`;

/** @param {Section} section */
export const keyOf = ({ kind, number, source, stream }) =>
  JSON.stringify([kind, number, ...(source ? [source.step, source.runId, stream] : [])]);

/** Whether a key is that of a group. @param {string} key */
export const isGroup = (key) => key.startsWith('["group"');

export const GROUP_LINES = "^::(group::|endgroup::)"; // as a regular expression of the search, which ignores case
const BEGIN = /^::group::(.*)$/;
const END = "::endgroup::";

/** The title of the group that a line begins. @param {string} text */
export const groupTitle = (text) => BEGIN.exec(text.replace(/\r$/, ""))?.[1].trim() ?? null;

/**
 * The lines behind the first one of each group, up to the end of the group, the next group or try, or the end of the
 * output.
 * @param {{ line: number, text: string }[]} marks lines that begin or end groups, in order
 * @param {number} total
 * @param {number[]} [starts] the first lines of tries, in order
 * @returns {Map<number, Fold>} by the line that begins the group
 */
export function groupsOf(marks, total, starts = []) {
  /** @type {Map<number, Fold>} */
  const groups = new Map();
  const exact = marks.filter(({ text }) => groupTitle(text) !== null || text.startsWith(END));
  exact.forEach(({ line, text }, index) => {
    if (groupTitle(text) === null) return;
    const next = exact[index + 1];
    const own = !next ? total : groupTitle(next.text) === null ? next.line : next.line - 1;
    const end = Math.min(own, (starts.find((start) => start > line) ?? Infinity) - 1);
    if (end > line) groups.set(line, [line + 1, end]);
  });
  return groups;
}

/** Disjoint folds in order, from folds in any order. @param {Iterable<Fold>} folds */
export function tidy(folds) {
  /** @type {Fold[]} */
  const found = [];
  const ordered = [...folds].filter((fold) => fold[0] <= fold[1]).sort((one, other) => one[0] - other[0]);
  for (const [from, to] of ordered) {
    const last = found.at(-1);
    if (last && from <= last[1] + 1) found[found.length - 1] = [last[0], Math.max(last[1], to)];
    else found.push([from, to]);
  }
  return found;
}

/**
 * Note in rows of all steps what their step wrote before, and which sections they are in: lines of steps alternate. A
 * group ends at the latest with its try.
 * @param {OutputRow[]} rows
 */
export function nest(rows) {
  /** @type {Map<string, { before?: Part, ofTry: string[], within: string[] }>} */
  const steps = new Map();
  for (const row of rows) {
    const { source, number, parts: [{ text, stream }] } = row;
    const id = idOf(source);
    const step = steps.get(id) ?? { ofTry: [], within: [] };
    steps.set(id, step);
    const part = row.parts[row.parts.length - 1];
    const begins = step.before?.execution !== part.execution;
    if (begins) step.ofTry = [keyOf({ kind: "try", number: part.execution, source })];
    const isTitle = groupTitle(text) !== null;
    Object.assign(row, { before: step.before, within: begins ? [] : isTitle ? step.ofTry : step.within });
    if (isTitle) step.within = [...step.ofTry, keyOf({ kind: "group", number, source, stream })];
    else if (begins || text.startsWith(END)) step.within = step.ofTry;
    step.before = part;
  }
  return rows;
}

/** The rows that are in one of some sections. @param {OutputRow[]} rows @param {Set<string>} keys */
export const foldsIn = (rows, keys) => tidy(keys.size === 0 ? [] : rows.flatMap(({ within = [] }, index) =>
  within.some((key) => keys.has(key)) ? [/** @type {Fold} */ ([index + 1, index + 1])] : []));

/** How many lines folds hide. @param {readonly Fold[]} folds */
export const hiddenBy = (folds) => folds.reduce((sum, [from, to]) => sum + to - from + 1, 0);

/** The line in a row; both count from 1. @param {number} row @param {readonly Fold[]} folds disjoint, in order */
export function lineAt(row, folds) {
  let line = row;
  for (const [from, to] of folds) {
    if (line < from) break;
    line += to - from + 1;
  }
  return line;
}

/** The row that shows a line, or the one before its fold. @param {number} line @param {readonly Fold[]} folds */
export function rowOf(line, folds) {
  let row = line;
  for (const [from, to] of folds) {
    if (line < from) break;
    row -= Math.min(line, to) - from + 1;
  }
  return Math.max(1, row);
}
