// What all steps of a run wrote, in the order in which it came: a stretch of it, which grows at both ends.

import { get } from "./api.js";

const KEPT = 400_000; // lines, so that a tab stays small and browsers can scroll them,
const KEPT_CHARACTERS = 8_000_000; // or so much of longer ones
const LIMIT = 200;

export class LogPieces {
  /** `onChange` is called when there is more, or something went wrong. */
  constructor(path, onChange) {
    this.path = path;
    this.onChange = onChange;
    this.pieces = null;
    this.rows = [];
    this.hasEarlier = false;
    this.hasMore = false;
    this.error = null;
    this.busy = null;
    this.control = new AbortController();
  }

  close() {
    this.control.abort();
  }

  /** Begin anew, at the beginning or at the end. */
  begin(atEnd) {
    return this.ask(atEnd ? { before: "end" } : {}, (page) => {
      Object.assign(this, { pieces: page.pieces, hasEarlier: page.hasEarlier, hasMore: page.hasMore });
    });
  }

  /** Have what came before; resolves to the number of lines above that were not there. */
  async earlier() {
    if (!this.hasEarlier || this.busy) return 0;
    const before = this.rows.length;
    await this.ask({ before: this.pieces[0].place }, (page) => {
      this.pieces = [...page.pieces, ...this.pieces];
      this.hasEarlier = page.hasEarlier;
    });
    const grown = this.rows.length - before;
    this.trim(() => this.pieces.pop(), "hasMore");
    return grown;
  }

  /** Have what came behind; to be called, too, when there may be more by now. Resolves to the number of lines that go above. */
  async later() {
    const last = this.pieces?.at(-1);
    if (this.busy) return 0;
    await this.ask(last ? { after: last.place } : {}, (page) => {
      this.pieces = [...(this.pieces ?? []), ...page.pieces];
      this.hasMore = page.hasMore;
    });
    const before = this.rows.length;
    this.trim(() => this.pieces.shift(), "hasEarlier");
    return before - this.rows.length;
  }

  async ask(query, take) {
    this.busy = get(this.path, { ...query, limit: LIMIT }, { signal: this.control.signal });
    try {
      take(await this.busy);
      this.error = null;
    } catch (error) {
      if (error.name === "AbortError") return;
      this.error = error;
    } finally {
      this.busy = null;
    }
    this.rows = rowsOf(this.pieces ?? []);
    this.onChange();
  }

  /** Forget what is far from where somebody looks. */
  trim(drop, left) {
    let size = this.pieces?.reduce((sum, piece) => sum + sizeOf(piece), 0) ?? 0;
    if (size <= 1) return;
    while (size > 1 && this.pieces.length > 1) size -= sizeOf(drop());
    this[left] = true;
    this.rows = rowsOf(this.pieces);
    this.onChange();
  }
}

/** How much of what is kept a piece takes. */
function sizeOf(piece) {
  piece.size ??= Math.max(piece.text.split("\n").length / KEPT, piece.text.length / KEPT_CHARACTERS);
  return piece.size;
}

/** Lines of pieces: {at, step, stream, number, text}; a line that is written bit by bit may be several, of one number. */
export function rowsOf(pieces) {
  const rows = [];
  const open = new Map(); // step and stream -> its line that has not ended
  for (const piece of pieces) {
    const key = `${piece.stream} ${piece.step}`;
    const lines = piece.text.split("\n");
    const rest = lines.pop();
    if (rest) lines.push(rest);
    lines.forEach((text, index) => {
      if (index === 0 && open.has(key) && open.get(key) === rows.at(-1)) rows.at(-1).text += text;
      else rows.push({ at: piece.at, step: piece.step, stream: piece.stream, number: piece.line + index, text });
    });
    if (rest) open.set(key, rows.at(-1));
    else open.delete(key);
  }
  return rows;
}
