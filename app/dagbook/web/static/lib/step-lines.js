// Lines of a step, on one stream or both, fetched in blocks when they come into view; old blocks are evicted. Where a
// section that the user folds ends is asked for then: the lines may be elsewhere.

import { HTTP, asError, get, isAbort } from "./api.js";
import { GROUP_LINES, groupTitle, groupsOf, isGroup, keyOf, paint, rowsOf, tidy } from "./output-rows.js";

/** @import { Fold, OutputRow, Section } from "../../types/ui" */

const BLOCK = 500;
const KEPT = 60; // blocks: 30,000 lines
const MARK_PAGES = 10; // of a thousand lines that begin or end groups
const MOST_TRIES = 20; // that end the groups which the one before left open
export const LAST = 2 ** 31 - 1; // the greatest number of a line or a try that the server takes

/** Cache of a step's lines; `onChange` is called when lines were fetched or their number changed. */
export class StepLines {
  /**
   * @param {import("../../types/ui").RunPath} run
   * @param {string} step
   * @param {{ stream: Stream | null, execution: number | null }} selected null: both streams, all executions
   * @param {() => void} onChange
   */
  constructor(run, step, { stream, execution }, onChange) {
    this.run = run;
    this.step = step;
    this.stream = stream;
    this.execution = execution;
    this.onChange = onChange;
    /** @type {number | null} */
    this.total = null;
    /** @type {Fold} the lines of the execution */
    this.span = [1, LAST];
    /** @type {number | null} the last line of stderr, if it was asked for */
    this.lastError = null;
    this.hasGroups = false; // among the lines that were fetched
    /** @type {{ total: number | null, found: Map<number, Fold> }} the groups of so many lines */
    this.groups = { total: null, found: new Map() };
    /** @type {Map<string, Fold>} what the user has folded, by the key of the section */
    this.folded = new Map();
    /** @type {Failed | null} */
    this.error = null;
    /** @type {Map<number, OutputRow[]>} */
    this.blocks = new Map();
    /** @type {Map<number, Promise<void>>} */
    this.pending = new Map();
    this.control = new AbortController();
  }

  /** Whether lines before or after the known ones may be fetched, whose number is unknown: never. */
  isPartial = false;

  /** The lines that are not of the execution. */
  get others() {
    const [first, last] = this.span;
    const total = this.total ?? 0;
    /** @type {Fold[]} */
    const folds = [[1, first - 1], [last + 1, total]];
    return folds.filter(([from, to]) => from <= to);
  }

  /** The lines that are not shown. */
  get folds() {
    return tidy([...this.others, ...this.folded.values()]);
  }

  /** The row of a line (from 1), or undefined while it is not fetched. @param {number} line */
  row(line) {
    return this.blocks.get(Math.floor((line - 1) / BLOCK))?.[(line - 1) % BLOCK];
  }

  /** What the step wrote before a line. @param {number} line */
  before(line) {
    return this.row(line - 1)?.parts.at(-1);
  }

  /** Fetch how many lines there are, and the first, or where the last one of stderr is. @param {boolean} atError */
  async begin(atError) {
    if (!atError && !this.execution) return this.want(1, 1);
    await this.attempt(async () => {
      const query = atError ? { of: "stderr", offset: LAST } : {};
      const page = await this.ask({ ...query, execution: this.execution, limit: 1 });
      this.total = page.total;
      this.span = this.execution ? [page.first, page.last] : this.span;
      this.lastError = atError ? (page.pieces[0]?.line ?? null) : null;
    });
  }

  /** Fetch the missing blocks of a range of lines. @param {number} first @param {number} last */
  want(first, last) {
    for (let block = Math.floor((first - 1) / BLOCK); block <= Math.floor((last - 1) / BLOCK); block += 1) {
      if (block >= 0 && !this.blocks.has(block)) this.fetch(block);
    }
  }

  /** Fetch lines that were added to the end. */
  async grow() {
    const block = Math.max(0, Math.floor(((this.total ?? 0) - 1) / BLOCK));
    await this.pending.get(block); // that request may have been sent before there were more lines
    await this.fetch(block);
    if (this.execution) await this.begin(false);
  }

  close() {
    this.control.abort();
  }

  /** @param {number} block */
  fetch(block) {
    if (!this.pending.has(block)) {
      this.pending.set(block, this.attempt(() => this.load(block)).finally(() => this.pending.delete(block)));
    }
    return this.pending.get(block);
  }

  /** Fold or unfold a section. @param {Section} section */
  async toggle(section) {
    const key = keyOf(section);
    if (!this.folded.delete(key)) {
      const fold = await this.foldOf(section);
      if (fold) this.folded.set(key, fold);
    }
    this.onChange();
  }

  /** @param {Section} section @returns {Promise<Fold | undefined>} */
  async foldOf({ kind, number }) {
    if (kind === "group") return (await this.findGroups()).get(number);
    const { first, last } = await this.ask({ execution: number, limit: 1 });
    return [first + 1, last];
  }

  /** Fold all groups, or unfold them. */
  async toggleGroups() {
    const folded = [...this.folded.keys()].filter(isGroup);
    for (const key of folded) this.folded.delete(key);
    for (const [number, fold] of folded.length ? [] : await this.findGroups()) {
      this.folded.set(keyOf({ kind: "group", number, source: null }), fold);
    }
    this.onChange();
  }

  /** Unfold what a line is in. @param {number} line */
  open(line) {
    for (const [key, [from, to]] of this.folded) {
      const first = isGroup(key) ? from : from - 1; // the title of a try stands for its first line, too
      if (line >= first && line <= to) this.folded.delete(key);
    }
    this.onChange();
  }

  /** The lines of each group behind the first one, by that. */
  async findGroups() {
    const { total } = this;
    if (this.groups.total === total) return this.groups.found;
    const starts = [];
    const { pieces } = await this.ask({ offset: total ?? 1, limit: 1 });
    const tries = Math.min(pieces.at(-1)?.execution ?? 1, MOST_TRIES);
    for (let execution = 2; execution <= tries; execution += 1) {
      starts.push((await this.ask({ execution, limit: 1 })).first);
    }
    this.groups = { total, found: groupsOf(await this.findMarks(), total ?? 0, starts) };
    return this.groups.found;
  }

  /** The lines that begin or end a group. */
  async findMarks() {
    const { step, stream } = this;
    const marks = [];
    /** @type {string | undefined} */
    let after;
    for (let page = 0; page < MARK_PAGES; page += 1) {
      const query = { q: GROUP_LINES, regex: true, step, stream, merged: stream === null || null, limit: 1000, after };
      const found = await get([...this.run, "log", "search"], query);
      marks.push(...found.hits);
      after = found.next;
      if (!after) break;
    }
    return marks;
  }

  /** @param {{ of?: string, offset?: number, limit: number, execution?: number | null }} query */
  ask(query) {
    return get([...this.run, "steps", this.step, "log", "lines"], { stream: this.stream, ...query },
      { signal: this.control.signal });
  }

  /** @param {() => Promise<void>} work */
  async attempt(work) {
    try {
      await work();
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      // A step that has not started has no output yet.
      if (asError(error).status === HTTP.NOT_FOUND) this.total = 0;
      else this.error = asError(error);
    }
    this.onChange();
  }

  /** @param {number} block */
  async load(block) {
    const first = block * BLOCK + 1;
    let rows = (this.blocks.get(block) ?? []).slice(0, -1); // the last line may have been incomplete
    // The server bounds the work for one response: long lines need several requests.
    for (;;) {
      const page = await this.ask({ offset: first + rows.length, limit: BLOCK - rows.length });
      rows = [...rows, ...rowsOf(page.pieces, true)];
      this.take(block, paint(rows), page.total);
      if (!page.count || rows.length >= Math.min(BLOCK, page.total - first + 1)) break;
      this.onChange();
    }
  }

  /** @param {number} block @param {OutputRow[]} rows @param {number} total */
  take(block, rows, total) {
    this.total = Math.max(total, this.total ?? 0);
    this.hasGroups ||= rows.some(({ parts }) => groupTitle(parts[0].text) !== null);
    this.blocks.delete(block);
    this.blocks.set(block, rows);
    for (const old of this.blocks.keys()) {
      if (this.blocks.size <= KEPT) break;
      this.blocks.delete(old);
    }
  }
}
