// Which tries and groups of a step's output are folded; where they end is asked for when the user folds one.

import { useRef, useState } from "../vendor/core.js";
import { get } from "./api.js";
import { GROUP_LINES, groupsOf, tidy } from "./output-rows.js";
import { pathOf } from "./runs.js";
import { StepLines } from "./step-lines.js";

/** @typedef {import("./output-rows.js").Fold} Fold */
/** @typedef {import("./run-lines.js").RunLines} RunLines */
/** @typedef {Map<string, Fold>} Folded the hidden lines by the key of their try, "try:2", or group, "group:405" */

const MARK_PAGES = 10; // of a thousand lines that begin or end groups

/**
 * @param {RunAddress} address
 * @param {string | null} step
 * @param {Stream | null} stream
 * @param {StepLines | RunLines} lines
 */
export function useFolding(address, step, stream, lines) {
  const [state, setState] = useState({ lines, folded: /** @type {Folded} */ (new Map()) });
  const folded = state.lines === lines ? state.folded : new Map();
  const setFolded = (/** @type {Folded} */ next) => setState({ lines, folded: next });
  const known = useRef({ key: "", groups: /** @type {Map<number, Fold>} */ (new Map()) });
  const findGroups = async () => {
    const total = lines.total ?? 0;
    const key = JSON.stringify([pathOf(address), step, stream, total]);
    if (known.current.key !== key) {
      known.current = { key, groups: groupsOf(await findMarks(address, step, stream), total) };
    }
    return known.current.groups;
  };
  const isGroupFolded = [...folded.keys()].some(isGroup);
  return {
    folded,
    folds: tidy([...lines.folds, ...folded.values()]),
    isGroupFolded,
    hasGroups: lines instanceof StepLines && (lines.hasGroups || isGroupFolded),
    /** Unfold what a line is in; returns the folds that are left. @param {number} line */
    open(line) {
      const kept = [...folded].filter(([key, [from, to]]) => line < from - (isGroup(key) ? 0 : 1) || line > to);
      if (kept.length < folded.size) setFolded(new Map(kept));
      return tidy([...lines.folds, ...kept.map(([, fold]) => fold)]);
    },
    /** Fold or unfold a try or group, named by its key and its first line. @param {string} key @param {number} line */
    async toggle(key, line) {
      const next = new Map(folded);
      if (!next.delete(key) && lines instanceof StepLines) {
        const fold = isGroup(key) ? (await findGroups()).get(line) : await lines.rest(Number(key.slice(4)));
        if (fold) next.set(key, fold);
      }
      setFolded(next);
    },
    async toggleGroups() {
      const next = new Map([...folded].filter(([key]) => !isGroup(key)));
      if (!isGroupFolded) for (const [line, fold] of await findGroups()) next.set(`group:${line}`, fold);
      setFolded(next);
    },
  };
}

/** @param {string} key */
const isGroup = (key) => key.startsWith("group:");

/**
 * The lines of a step that begin or end a group.
 * @param {RunAddress} address
 * @param {string | null} step
 * @param {Stream | null} stream
 */
async function findMarks(address, step, stream) {
  /** @type {Api.LogHit[]} */
  const marks = [];
  /** @type {string | undefined} */
  let after;
  for (let page = 0; page < MARK_PAGES; page += 1) {
    const asked = { q: GROUP_LINES, regex: true, step, stream, merged: stream === null || null, limit: 1000, after };
    const found = await get([...pathOf(address), "log", "search"], asked);
    marks.push(...found.hits);
    after = found.next;
    if (!after) break;
  }
  return marks;
}
