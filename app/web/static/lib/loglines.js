// The lines of one stream of a step, fetched in blocks as they are looked at, forgotten when there are too many.

import { carry } from "./ansi.js";
import { get } from "./api.js";

export const BLOCK = 500;
const KEPT = 60; // blocks: 30,000 lines

/** Reads a log; `onChange` is called when lines have come or the total has changed. */
export class LogLines {
  constructor(path, stream, onChange) {
    this.path = path;
    this.stream = stream;
    this.onChange = onChange;
    this.total = null;
    this.error = null;
    this.blocks = new Map();
    this.styles = new WeakMap();
    this.pending = new Map();
    this.control = new AbortController();
  }

  /** The text of a line (from 1), or undefined while it is not here. */
  line(number) {
    const block = Math.floor((number - 1) / BLOCK);
    return this.blocks.get(block)?.[(number - 1) % BLOCK];
  }

  /** The style that a line begins with; what lines of the block before have left is not known. */
  styleOf(number) {
    const block = Math.floor((number - 1) / BLOCK);
    const lines = this.blocks.get(block);
    if (!lines) return undefined;
    if (!this.styles.has(lines)) this.styles.set(lines, carry(lines));
    return this.styles.get(lines)[(number - 1) % BLOCK];
  }

  /** Fetch what is missing of some lines. */
  want(first, last) {
    for (let block = Math.floor((first - 1) / BLOCK); block <= Math.floor((last - 1) / BLOCK); block += 1) {
      if (block >= 0 && !this.blocks.has(block)) this.fetch(block);
    }
  }

  /** Look whether there is more by now. */
  async grow() {
    const block = Math.max(0, Math.floor(((this.total ?? 0) - 1) / BLOCK));
    await this.pending.get(block); // which may have looked before there was more
    await this.fetch(block);
  }

  close() {
    this.control.abort();
  }

  fetch(block) {
    if (!this.pending.has(block)) this.pending.set(block, this.load(block));
    return this.pending.get(block);
  }

  async load(block) {
    const first = block * BLOCK + 1;
    let lines = (this.blocks.get(block) ?? []).slice(0, -1); // the last one may have been half written
    try {
      // The server bounds the work for one answer: lines that were written one by one come in several.
      for (;;) {
        const query = { stream: this.stream, offset: first + lines.length, limit: BLOCK - lines.length };
        const page = await get(this.path, query, { signal: this.control.signal });
        if (page.lineCount) lines = [...lines, ...page.content.split("\n")];
        this.take(block, lines, page.totalLines);
        if (!page.lineCount || lines.length >= Math.min(BLOCK, page.totalLines - first + 1)) break;
        this.onChange();
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      // A step that has not begun has no log yet.
      if (error.status === 404) this.total = 0;
      else this.error = error;
    } finally {
      this.pending.delete(block);
    }
    this.onChange();
  }

  take(block, lines, total) {
    this.error = null;
    this.total = Math.max(total, this.total ?? 0);
    this.blocks.delete(block);
    this.blocks.set(block, lines);
    for (const old of this.blocks.keys()) {
      if (this.blocks.size <= KEPT) break;
      this.blocks.delete(old);
    }
  }
}
