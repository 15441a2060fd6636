// Lines of one stream of a step, fetched in blocks when they come into view; old blocks are evicted.

import { carry } from "./ansi.js";
import { HTTP, asError, get, isAbort } from "./api.js";

export const BLOCK = 500;
/** @typedef {readonly ["dag-runs", string, string, "steps", string, "log"]} LogPath */

const KEPT = 60; // blocks: 30,000 lines

/** Cache of a log's lines; `onChange` is called when lines were fetched or the total changed. */
export class LogLines {
  /**
   * @param {LogPath} path
   * @param {Stream} stream
   * @param {() => void} onChange
   */
  constructor(path, stream, onChange) {
    this.path = path;
    this.stream = stream;
    this.onChange = onChange;
    /** @type {number | null} */
    this.total = null;
    /** @type {Failed | null} */
    this.error = null;
    /** @type {Map<number, string[]>} */
    this.blocks = new Map();
    /** @type {WeakMap<string[], import("./ansi.js").Style[]>} */
    this.styles = new WeakMap();
    /** @type {Map<number, Promise<void>>} */
    this.pending = new Map();
    this.control = new AbortController();
  }

  /**
   * The text of a line (from 1), or undefined while it is not fetched.
   * @param {number} number
   */
  line(number) {
    const block = Math.floor((number - 1) / BLOCK);
    return this.blocks.get(block)?.[(number - 1) % BLOCK];
  }

  /**
   * The style at the start of a line; styles of the previous block are not continued.
   * @param {number} number
   */
  styleOf(number) {
    const block = Math.floor((number - 1) / BLOCK);
    const lines = this.blocks.get(block);
    if (!lines) return undefined;
    const styles = this.styles.get(lines) ?? carry(lines);
    this.styles.set(lines, styles);
    return styles[(number - 1) % BLOCK];
  }

  /**
   * Fetch the missing blocks of a range of lines.
   * @param {number} first
   * @param {number} last
   */
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
  }

  close() {
    this.control.abort();
  }

  /** @param {number} block */
  fetch(block) {
    if (!this.pending.has(block)) this.pending.set(block, this.load(block));
    return this.pending.get(block);
  }

  /** @param {number} block */
  async load(block) {
    const first = block * BLOCK + 1;
    let lines = (this.blocks.get(block) ?? []).slice(0, -1); // the last line may have been incomplete
    try {
      // The server bounds the work for one response: lines that were written one by one need several requests.
      for (;;) {
        const query = { stream: this.stream, offset: first + lines.length, limit: BLOCK - lines.length };
        const page = await get(this.path, query, { signal: this.control.signal });
        if (page.lineCount) lines = [...lines, ...page.content.split("\n")];
        const total = page.totalLines ?? 0;
        this.take(block, lines, total);
        if (!page.lineCount || lines.length >= Math.min(BLOCK, total - first + 1)) break;
        this.onChange();
      }
    } catch (error) {
      if (isAbort(error)) return;
      // A step that has not started has no log yet.
      if (asError(error).status === HTTP.NOT_FOUND) this.total = 0;
      else this.error = asError(error);
    } finally {
      this.pending.delete(block);
    }
    this.onChange();
  }

  /**
   * @param {number} block
   * @param {string[]} lines
   * @param {number} total
   */
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
