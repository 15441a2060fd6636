import assert from "node:assert/strict";
import test from "node:test";

import { backfillOf, daysOf, lookOfSlot, mapOf, slotsBetween } from "../../../app/dagbook/web/static/lib/slots.js";

const slot = (day, outcome, time = "02:00", more = {}) => ({
  scheduledAt: `2026-03-${String(day).padStart(2, "0")}T${time}:00+01:00`, outcome, ...more,
});
const DAYS = [slot(1, "succeeded"), slot(2, "missing"), slot(3, "failed"), slot(4, "succeeded"), slot(5, "skipped")];

test("a map has a column for each day and a row for each time, and gaps where nothing was due", () => {
  const map = mapOf([...DAYS, slot(3, "succeeded", "14:30")]);
  assert.deepEqual(map.days, [1, 2, 3, 4, 5].map((day) => `2026-03-0${day}`));
  assert.deepEqual(map.rows.map(({ name }) => name), ["02:00", "14:30"]);
  assert.deepEqual(map.rows[1].cells.map((cell) => cell?.outcome ?? null), [null, null, "succeeded", null, null]);
});

test("of many times of a day an hour is one cell with the worst outcome", () => {
  const times = Array.from({ length: 30 }, (_, minute) => `02:${String(minute).padStart(2, "0")}`);
  const map = mapOf(times.map((time) => slot(1, time === "02:07" ? "failed" : "succeeded", time)));
  assert.deepEqual(map.rows.map(({ name, cells }) => [name, cells[0].outcome, cells[0].slots.length]), [
    ["02:…", "failed", 30],
  ]);
});

test("a selection is the rectangle between two cells, in order of time", () => {
  const map = mapOf([...DAYS, slot(2, "missing", "14:30"), slot(3, "missing", "14:30")]);
  const found = slotsBetween(map, [1, 2], [0, 1]).map(({ scheduledAt }) => scheduledAt.slice(8, 16));
  assert.deepEqual(found, ["02T02:00", "02T14:30", "03T02:00", "03T14:30"]);
});

test("without a selection all that is missing is run and all that has failed is done again", () => {
  const { text, body } = backfillOf("etl", DAYS, []);
  assert.equal(text, "Run 2 missing, redo 1 failed");
  assert.deepEqual([body.from, body.to], [DAYS[1].scheduledAt, DAYS[4].scheduledAt]);
  assert.deepEqual([body.leaveOut, body.unknown], [[DAYS[3].scheduledAt], false]);
  assert.equal(backfillOf("etl", [DAYS[0]], []), null);
});

test("of a selection the rest of its range is left out, and what is unknown is run only there", () => {
  const all = [...DAYS, slot(6, "unknown")];
  assert.equal(backfillOf("etl", all, []).body.unknown, false);
  const { text, body } = backfillOf("etl", all, [all[2], all[5]]);
  assert.equal(text, "Run 1 missing, redo 1 failed");
  assert.deepEqual([body.unknown, body.leaveOut], [true, [all[3].scheduledAt, all[4].scheduledAt]]);
  assert.equal(backfillOf("etl", [slot(1, "missing", "02:00", { batchId: 8 })], []), null);
});

test("as many days are shown as there is room for", () => {
  assert.deepEqual([86_400, 3600, 60, Infinity].map(daysOf), [31, 31, 1, 31]);
  assert.equal(lookOfSlot("nothing known").word, "unknown");
});
