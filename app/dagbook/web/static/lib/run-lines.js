// Window on the output of all steps of a run and of its sub-runs, in the order of arrival; it can grow at both ends.

import { asError, get, isAbort } from "./api.js";
import { foldsIn, groupTitle, hiddenBy, idOf, isGroup, keyOf, nest, paint, rowsOf } from "./output-rows.js";

/** @import { Fold, OutputRow, Section } from "../../types/ui" */

/**
 * What a page begins after or ends before, or the line that it begins with.
 * @typedef {{ before?: string, after?: string, step?: string, stream?: string, line?: number, subRun?: string }} Place
 */

const KEPT = 400_000; // lines: limits the memory of a tab, and browsers can still scroll them
const KEPT_CHARACTERS = 8_000_000; // the limit for longer lines
const LIMIT = 200;
const NEAR = 100; // lines from an end at which more are fetched
const PAUSE = 1000; // milliseconds between two looks for what was added

export class RunLines {
  /**
   * `onChange` is called when rows or the error have changed, `onShift` when rows were added above the known ones, or
   * discarded there if the number is negative.
   * @param {import("../../types/ui").RunPath} run
   * @param {Stream | null} stream null: both
   * @param {() => void} onChange
   * @param {(count: number) => void} onShift
   */
  constructor(run, stream, onChange, onShift) {
    this.run = run;
    this.stream = stream;
    this.onChange = onChange;
    this.onShift = onShift;
    /** @type {Api.LogPiece[] | null} */
    this.pieces = null;
    /** @type {OutputRow[]} */
    this.rows = [];
    this.hasEarlier = false;
    this.hasMore = false;
    /** @type {Failed | null} */
    this.error = null;
    this.busy = false;
    this.askedAt = -PAUSE;
    this.control = new AbortController();
    /** @type {Set<string>} the keys of the sections that the user has folded */
    this.folded = new Set();
    /** @type {Fold[]} the rows that are not shown */
    this.folds = [];
    this.hasGroups = false;
    /** @type {Set<string>} the sub-runs and steps of which there is a second try or repetition */
    this.repeated = new Set();
  }

  close() {
    this.control.abort();
  }

  /** Whether lines before or after the known ones may be fetched, whose number is unknown. */
  get isPartial() {
    return this.hasEarlier || this.hasMore;
  }

  get total() {
    return this.pieces && this.rows.length;
  }

  /** @type {Fold[]} as of the lines of one try */
  others = [];

  /** @type {number | null} */
  lastError = null;

  /** @param {number} number */
  row(number) {
    return this.rows[number - 1];
  }

  /** What the step of a row wrote before it. @param {number} number */
  before(number) {
    return this.row(number)?.before;
  }

  /** Fold or unfold a section. @param {Section} section */
  async toggle(section) {
    const key = keyOf(section);
    if (!this.folded.delete(key)) this.folded.add(key);
    this.fold();
  }

  /** Fold all groups that are here, or unfold them. */
  async toggleGroups() {
    const folded = [...this.folded].filter(isGroup);
    for (const key of folded) this.folded.delete(key);
    for (const { number, source, parts: [{ text, stream }] } of folded.length ? [] : this.rows) {
      if (groupTitle(text) !== null) this.folded.add(keyOf({ kind: "group", number, source, stream }));
    }
    this.fold();
  }

  /** Unfold what a row is in. @param {number} number */
  open(number) {
    const row = this.rows.at(number - 1);
    for (const key of row?.within ?? []) this.folded.delete(key);
    // The title of a try stands for its first line, too.
    for (const { execution } of row?.parts ?? []) {
      this.folded.delete(keyOf({ kind: "try", number: execution, source: row?.source ?? null }));
    }
    this.fold();
  }

  fold() {
    this.folds = foldsIn(this.rows, this.folded);
    this.onChange();
  }

  /** The number of rows that are shown. */
  get shown() {
    return this.rows.length - hiddenBy(this.folds);
  }

  /** The number of the row of a hit of the search, or 0 if it is not among those here. @param {Api.LogHit} hit */
  find({ step, stream, line, dagRunId }) {
    return 1 + this.rows.findIndex(({ number, parts, source }) => number === line && parts[0].stream === stream
      && source?.step === step && (source.runId ?? undefined) === dagRunId);
  }

  /** Load the first or last page, or that which begins with a line. @param {boolean} atEnd @param {Place} [place] */
  begin(atEnd, place = atEnd ? { before: "end" } : {}) {
    return this.request(place, (page) => {
      Object.assign(this, { pieces: page.pieces, hasEarlier: page.hasEarlier, hasMore: page.hasMore });
    });
  }

  /** Fetch more if these rows are near an end. @param {number} first @param {number} last */
  want(first, last) {
    if (this.busy) return;
    if (first <= NEAR && this.hasEarlier) this.earlier();
    else if (last > this.rows.length - NEAR && this.hasMore) this.later();
  }

  /** Look for pieces that were added, if all that were there are known, and not more than once a second. */
  async grow() {
    if (this.hasMore) return;
    const wait = this.askedAt + PAUSE - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (!this.control.signal.aborted) await this.later();
  }

  /** Load the previous page. */
  async earlier() {
    if (!this.hasEarlier || this.busy || !this.pieces) return;
    const before = this.shown;
    await this.request({ before: this.pieces[0].place }, (page) => {
      this.pieces = [...page.pieces, ...(this.pieces ?? [])];
      this.hasEarlier = page.hasEarlier;
    });
    this.onShift(this.shown - before);
    this.trim(() => this.pieces?.pop(), "hasMore");
  }

  /** Load the next page, also after the known end. */
  async later() {
    const last = this.pieces?.at(-1);
    if (this.busy) return;
    this.askedAt = performance.now();
    await this.request(last ? { after: last.place } : {}, (page) => {
      this.pieces = [...(this.pieces ?? []), ...page.pieces];
      this.hasMore = page.hasMore;
    });
    const before = this.shown;
    this.trim(() => this.pieces?.shift(), "hasEarlier");
    if (this.shown !== before) this.onShift(this.shown - before);
  }

  /** @param {Place} place @param {(page: Api.LogPieces) => void} take */
  async request(place, take) {
    this.busy = true;
    try {
      const query = { ...place, limit: LIMIT, subRuns: true };
      take(await get([...this.run, "log", "pieces"], query, { signal: this.control.signal }));
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = asError(error);
    } finally {
      this.busy = false;
    }
    this.show();
  }

  show() {
    const wanted = (this.pieces ?? []).filter(({ stream }) => this.stream === null || stream === this.stream);
    this.rows = nest(paint(rowsOf(wanted, false)));
    this.hasGroups = this.rows.some(({ parts }) => groupTitle(parts[0].text) !== null);
    const again = this.rows.filter(({ parts }) => parts[0].execution > 1);
    this.repeated = new Set(again.map(({ source }) => idOf(source)));
    this.fold();
  }

  /**
   * Discard pieces at the end that is far from the visible lines.
   * @param {() => Api.LogPiece | undefined} discard
   * @param {"hasMore" | "hasEarlier"} left
   */
  trim(discard, left) {
    const kept = this.pieces ?? [];
    let size = kept.reduce((sum, piece) => sum + sizeOf(piece), 0);
    if (size <= 1) return;
    while (size > 1 && kept.length > 1) {
      const discarded = discard();
      if (discarded) size -= sizeOf(discarded);
    }
    this[left] = true;
    this.show();
  }
}

/** @type {WeakMap<Api.LogPiece, number>} */
const sizes = new WeakMap();

/** The part of the limit that a piece uses. @param {Api.LogPiece} piece */
function sizeOf(piece) {
  const known = sizes.get(piece);
  if (known !== undefined) return known;
  const size = Math.max(piece.text.split("\n").length / KEPT, piece.text.length / KEPT_CHARACTERS);
  sizes.set(piece, size);
  return size;
}
