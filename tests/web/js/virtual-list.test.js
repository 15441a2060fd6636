import assert from "node:assert/strict";
import test from "node:test";

import {
  ROW_HEIGHT,
  firstAfterScroll,
  firstAround,
  geometryOf,
  isAtEnd,
  offsetOf,
  printedRows,
} from "../../../app/dagbook/web/static/lib/virtual-list.js";

const VIEWPORT = 400; // 20 rows
const boxAt = (geometry, scrollTop) => ({ scrollTop, clientHeight: VIEWPORT, scrollHeight: geometry.height });

test("a list has the height of its rows, and its end shows the last of them", () => {
  const geometry = geometryOf(1000, VIEWPORT);
  assert.deepEqual(geometry, { rows: 20, lastFirst: 981, height: 1000 * ROW_HEIGHT, pitch: ROW_HEIGHT });
});

test("a list that fits begins and ends with its first row", () => {
  assert.equal(geometryOf(3, VIEWPORT).lastFirst, 1);
  assert.equal(geometryOf(0, VIEWPORT).lastFirst, 1);
});

test("a box that is nearly closed still shows a few rows", () => {
  assert.equal(geometryOf(1000, 10).rows, 5);
});

test("the scroll bar of ten million rows is squeezed to what browsers draw, with the last row at its very end", () => {
  const geometry = geometryOf(10_000_000, VIEWPORT);
  assert.equal(geometry.height, 15_000_000);
  const end = boxAt(geometry, geometry.height - VIEWPORT);
  assert.equal(firstAfterScroll(geometry, end, 1), geometry.lastFirst);
  assert.ok(Math.abs(offsetOf(geometry, geometry.lastFirst) - end.scrollTop) < 1);
});

test("a scroll leads to the row at the upper edge", () => {
  const geometry = geometryOf(1000, VIEWPORT);
  assert.equal(firstAfterScroll(geometry, boxAt(geometry, 5 * ROW_HEIGHT), 1), 6);
  assert.equal(firstAfterScroll(geometry, boxAt(geometry, 0), 6), 1);
});

test("the browser's rounding of a position that was set is no scroll", () => {
  const geometry = geometryOf(10_000_000, VIEWPORT);
  const rounded = Math.round(offsetOf(geometry, 1234));
  assert.equal(firstAfterScroll(geometry, boxAt(geometry, rounded), 1234), null);
});

test("less than a row is no scroll", () => {
  const geometry = geometryOf(1000, VIEWPORT);
  assert.equal(firstAfterScroll(geometry, boxAt(geometry, 5 * ROW_HEIGHT + 7), 6), null);
});

test("the end is the end also when browsers round", () => {
  const geometry = geometryOf(1000, VIEWPORT);
  assert.ok(isAtEnd(boxAt(geometry, geometry.height - VIEWPORT - 1.5)));
  assert.ok(!isAtEnd(boxAt(geometry, geometry.height - VIEWPORT - 3)));
});

test("a row that is looked for stands a third below the upper edge, where the list allows it", () => {
  assert.deepEqual([1, 500, 1000].map((row) => firstAround(1000, 20, row)), [1, 494, 981]);
  assert.equal(firstAround(3, 20, 2), 1);
});

test("the rows around the visible ones are printed, as many as are fetched at a time", () => {
  assert.deepEqual(printedRows(1, 20), { from: 1, to: 20 });
  assert.deepEqual(printedRows(700, 3000), { from: 501, to: 1000 });
  assert.deepEqual(printedRows(1001, 1200), { from: 1001, to: 1200 });
});
