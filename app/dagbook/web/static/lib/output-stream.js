// Window on the interleaved output of a run's steps, in the order of arrival; it can grow at both ends.

import { asError, get, isAbort } from "./api.js";

/** @typedef {readonly ["dag-runs", string, string, "log", "pieces"]} OutputPath */
/**
 * @typedef {object} OutputRow
 * @property {string} at
 * @property {string} step
 * @property {Stream} stream
 * @property {number} number of the line
 * @property {string} text
 */

const KEPT = 400_000; // lines: limits the memory of a tab, and browsers can still scroll them
const KEPT_CHARACTERS = 8_000_000; // the limit for longer lines
const LIMIT = 200;

export class OutputStream {
  /**
   * `onChange` is called when rows or the error have changed.
   * @param {OutputPath} path
   * @param {() => void} onChange
   */
  constructor(path, onChange) {
    this.path = path;
    this.onChange = onChange;
    /** @type {Api.LogPiece[] | null} */
    this.pieces = null;
    /** @type {OutputRow[]} */
    this.rows = [];
    this.hasEarlier = false;
    this.hasMore = false;
    /** @type {Failed | null} */
    this.error = null;
    this.busy = false;
    this.control = new AbortController();
  }

  close() {
    this.control.abort();
  }

  get closed() {
    return this.control.signal.aborted;
  }

  /**
   * Load the first or the last page.
   * @param {boolean} atEnd
   */
  begin(atEnd) {
    return this.request(atEnd ? { before: "end" } : {}, (page) => {
      Object.assign(this, { pieces: page.pieces, hasEarlier: page.hasEarlier, hasMore: page.hasMore });
    });
  }

  /** Load the previous page; resolves to the number of lines added above. */
  async earlier() {
    if (!this.hasEarlier || this.busy || !this.pieces) return 0;
    const before = this.rows.length;
    await this.request({ before: this.pieces[0].place }, (page) => {
      this.pieces = [...page.pieces, ...(this.pieces ?? [])];
      this.hasEarlier = page.hasEarlier;
    });
    const grown = this.rows.length - before;
    this.trim(() => this.pieces?.pop(), "hasMore");
    return grown;
  }

  /** Load the next page, also after the known end. Resolves to the number of lines discarded above. */
  async later() {
    const last = this.pieces?.at(-1);
    if (this.busy) return 0;
    await this.request(last ? { after: last.place } : {}, (page) => {
      this.pieces = [...(this.pieces ?? []), ...page.pieces];
      this.hasMore = page.hasMore;
    });
    const before = this.rows.length;
    this.trim(() => this.pieces?.shift(), "hasEarlier");
    return before - this.rows.length;
  }

  /**
   * @param {{ before?: string, after?: string }} query
   * @param {(page: Api.LogPieces) => void} take
   */
  async request(query, take) {
    this.busy = true;
    try {
      take(await get(this.path, { ...query, limit: LIMIT }, { signal: this.control.signal }));
      this.error = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.error = asError(error);
    } finally {
      this.busy = false;
    }
    this.rows = rowsOf(this.pieces ?? []);
    this.onChange();
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
    this.rows = rowsOf(kept);
    this.onChange();
  }
}

/** @type {WeakMap<Api.LogPiece, number>} */
const sizes = new WeakMap();

/**
 * The part of the limit that a piece uses.
 * @param {Api.LogPiece} piece
 */
function sizeOf(piece) {
  const known = sizes.get(piece);
  if (known !== undefined) return known;
  const size = Math.max(piece.text.split("\n").length / KEPT, piece.text.length / KEPT_CHARACTERS);
  sizes.set(piece, size);
  return size;
}

/**
 * Lines of pieces: {at, step, stream, number, text}; a line written in parts may be several rows with one number.
 * @param {Api.LogPiece[]} pieces
 */
export function rowsOf(pieces) {
  /** @type {OutputRow[]} */
  const rows = [];
  const open = new Map(); // step and stream -> its unfinished line
  for (const piece of pieces) {
    const key = `${piece.stream} ${piece.step}`;
    const lines = piece.text.split("\n");
    const rest = lines.pop();
    if (rest) lines.push(rest);
    lines.forEach((text, index) => {
      const last = rows.at(-1);
      if (index === 0 && last && open.get(key) === last) last.text += text;
      else rows.push({ at: piece.at, step: piece.step, stream: piece.stream, number: piece.line + index, text });
    });
    if (rest) open.set(key, rows.at(-1));
    else open.delete(key);
  }
  return rows;
}
