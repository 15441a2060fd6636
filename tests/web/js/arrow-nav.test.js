import assert from "node:assert/strict";
import test from "node:test";

import { cellAfter } from "../../../app/dagbook/web/static/lib/arrow-nav.js";

test("arrow keys go through rows of cells and stay within them", () => {
  const from = (key, at) => cellAfter(key, at, 10, 4); // rows of 4, 4 and 2
  assert.deepEqual(["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp"].map((key) => from(key, 5)), [6, 4, 9, 1]);
  assert.deepEqual([from("ArrowLeft", 0), from("ArrowRight", 9)], [0, 9]);
  assert.deepEqual([from("ArrowUp", 2), from("ArrowDown", 7)], [2, 7]);
  assert.deepEqual([from("Home", 5), from("End", 5)], [0, 9]);
  assert.equal(from("a", 5), null);
  assert.equal(cellAfter("End", 0, 0, 1), null);
});
