import assert from "node:assert/strict";
import test from "node:test";

import { daysShown, levelOf, rowsOf, weeksOf } from "../../../app/dagbook/web/static/lib/heat.js";

const day = (date, counts = {}) => ({
  date,
  fromDate: Date.parse(`${date}T00:00:00Z`) / 1000,
  counts: Object.entries(counts).map(([status, count]) => ({ status: Number(status), count })),
});

test("the map begins on a Monday eight weeks ago", () => {
  assert.equal(daysShown("2026-11-29"), 56); // a Sunday
  assert.equal(daysShown("2026-11-30"), 50); // a Monday
});

test("a square is larger for more runs, and the largest of its row is the largest there is", () => {
  assert.deepEqual([0, 1, 2, 30, 1000].map((count) => levelOf(count, 1000)), [0, 1, 1, 2, 4]);
  assert.equal(levelOf(1, 1), 4);
});

test("succeeded and failed have a row always, other statuses when a run has them", () => {
  const rows = rowsOf([day("2026-11-28", { 4: 9 }), day("2026-11-29", { 4: 1, 3: 2 })]);
  assert.deepEqual(rows.map(({ look }) => look.word), ["failed", "aborted", "succeeded"]);
  assert.deepEqual(
    rows.map(({ cells }) => cells.map(({ count, level }) => [count, level])),
    [
      [[0, 0], [0, 0]],
      [[0, 0], [2, 4]],
      [[9, 4], [1, 2]],
    ],
  );
});

test("days are in weeks, the first of which may be shorter", () => {
  const days = ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"].map((date) => day(date));
  assert.deepEqual(
    weeksOf(days).map(({ first, length, old }) => [first.date, length, old]),
    [
      ["2026-11-21", 2, false],
      ["2026-11-23", 2, false],
    ],
  );
  const many = Array.from({ length: 56 }, (_, index) =>
    day(new Date(Date.parse("2026-10-05T00:00:00Z") + index * 86400000).toISOString().slice(0, 10)),
  );
  assert.deepEqual(weeksOf(many).map(({ length, old }) => [length, old]), [
    ...Array(4).fill([7, true]),
    ...Array(4).fill([7, false]),
  ]);
});
