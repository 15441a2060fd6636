// Geometry of a virtual list, of which only the visible rows are in the document. Rows are counted from 1. Pure.

/** @import { Geometry } from "../../types/ui" */

export const ROW_HEIGHT = 20; // pixels, as in the style sheet
const TALLEST = 15_000_000; // pixels: browsers do not draw taller elements
const FEWEST = 5; // rows
const JITTER = 1.5; // pixels

/**
 * The geometry of `total` rows in a box of `viewport` pixels. The scroll bar of a very long list is compressed so that
 * the last row is still at its end.
 * @param {number} total
 * @param {number} viewport
 * @returns {Geometry}
 */
export function geometryOf(total, viewport) {
  const rows = Math.max(FEWEST, Math.ceil(viewport / ROW_HEIGHT));
  const lastFirst = Math.max(1, total - rows + 1);
  const height = Math.min(Math.max(total * ROW_HEIGHT, 1), TALLEST);
  const squeezed = total * ROW_HEIGHT > TALLEST;
  return { rows, lastFirst, height, pitch: squeezed ? (height - viewport) / Math.max(1, lastFirst - 1) : ROW_HEIGHT };
}

const PRINTED = 500; // rows: as many as a log fetches at a time, so all of them are there

/** The rows that are printed when `first` is the first one in sight. @param {number} first @param {number} total */
export function printedRows(first, total) {
  const from = Math.floor((first - 1) / PRINTED) * PRINTED + 1;
  return { from, to: Math.min(total, from + PRINTED - 1) };
}

/** The scroll offset at which a row is the first visible one. @param {Geometry} geometry @param {number} first */
export const offsetOf = ({ pitch }, first) => (first - 1) * pitch;

/**
 * The first visible row after a scroll, or null when the list has not moved: browsers round to pixels, and one pixel is
 * many rows of a very long list.
 * @param {Geometry} geometry
 * @param {{ scrollTop: number, clientHeight: number, scrollHeight: number }} box
 * @param {number} before the first visible row before the scroll
 */
export function firstAfterScroll(geometry, box, before) {
  const first = isAtEnd(box) ? geometry.lastFirst : Math.floor(box.scrollTop / geometry.pitch) + 1;
  const moved = Math.abs(box.scrollTop - offsetOf(geometry, before));
  return moved < JITTER || Math.abs(first - before) < 1 ? null : first;
}

/** @param {{ scrollTop: number, clientHeight: number, scrollHeight: number }} box */
export const isAtEnd = ({ scrollTop, clientHeight, scrollHeight }) => scrollTop + clientHeight >= scrollHeight - 2;

/**
 * The first visible row that puts `row` at a third of the height, or as near to that as the list allows.
 * @param {number} total
 * @param {number} rows
 * @param {number} row
 */
export const firstAround = (total, rows, row) => Math.max(1, Math.min(total - rows + 1, row - Math.floor(rows / 3)));
