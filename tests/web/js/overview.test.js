import assert from "node:assert/strict";
import test from "node:test";

import {
  PER_DAY,
  countsOf,
  isSeen,
  labelOf,
  lookOfFailure,
  nextDay,
  ticksOf,
  topOf,
  whenOf,
  withSeen,
} from "../../../app/dagbook/web/static/lib/overview.js";
import { hour } from "../../../app/dagbook/web/static/lib/format.js";

process.env.TZ = "UTC";
const NOW = Date.parse("2026-11-29T12:00:00Z");
const HOUR = 3600000;

test("counts are by status, waiting apart from running, and failed first", () => {
  const counts = [
    { status: 4, count: 3 },
    { status: 1, count: 2 },
    { status: 1, count: 1, waitingForApproval: true },
    { status: 2, count: 4 },
    { status: 4, count: 5 },
  ];
  assert.deepEqual(
    countsOf(counts).map(({ key, count }) => [key, count]),
    [
      ["failed", 4],
      ["waiting", 1],
      ["running", 2],
      ["succeeded", 8],
    ],
  );
});

test("the top of the axis is a round number of which half is whole", () => {
  const tops = [[0, 2], [1, 2], [3, 4], [7, 8], [9, 10], [10, 20], [11, 20], [55, 60], [90, 100], [4321, 6000]];
  for (const [most, top] of tops) assert.equal(topOf(most), top, `of ${most}`);
});

test("a bar says when its runs were created, and few have a label", () => {
  const at = (hours) => ({ fromDate: NOW / 1000 + hours * 3600, toDate: NOW / 1000 + (hours + 1) * 3600, counts: [] });
  const [from, to] = [NOW, NOW + HOUR].map((time) => hour(new Date(time)));
  assert.ok(whenOf(at(0), "hour").endsWith(`${from} to ${to}`));
  assert.match(whenOf(at(0), "day"), /Sun.*29|29.*Sun/);
  const found = { bars: Array.from({ length: 24 }, (_, index) => at(index)), unit: "hour" };
  const labels = found.bars.map((bar, index) => labelOf(bar, index, found)).filter(Boolean);
  assert.deepEqual(labels, [3, 7, 11, 15, 19, 23].map((hours) => hour(new Date(NOW + hours * HOUR))));
});

test("ticks are round times of the day, few enough to be read", () => {
  const ticks = ticksOf({ from: NOW + 1, to: NOW + 24 * HOUR });
  assert.deepEqual(
    ticks.map(({ text }) => text),
    [18, 24, 30, 36].map((hours) => hour(new Date(NOW + (hours - 12) * HOUR))),
  );
  for (const { left } of ticks) assert.ok(left >= 0 && left <= 100);
});

test("a failure is seen until a later one of its group", () => {
  const group = (id, minutes) => ({ id, lastAt: new Date(NOW + minutes * 60000).toISOString() });
  const seen = withSeen({}, [group("a", 0), group("b", 5)]);
  assert.deepEqual([isSeen(seen, group("a", 0)), isSeen(seen, group("a", 1)), isSeen(seen, group("c", 0))], [
    true,
    false,
    false,
  ]);
  assert.ok(isSeen(withSeen(seen, [group("a", 1)]), group("a", 1)));
  const many = withSeen(seen, Array.from({ length: 300 }, (_, index) => group(`g${index}`, 10 + index)));
  assert.equal(Object.keys(many).length, 200);
  assert.ok(!("a" in many) && "g299" in many);
});

test("a failure is fixed, tried again, or neither", () => {
  const latest = [{ status: 1 }, { status: 1, waitingForApproval: true }, { status: 3 }];
  const words = [{ fixed: true }, ...latest.map((one) => ({ fixed: false, latest: one })), {}];
  assert.deepEqual(words.map((group) => lookOfFailure(group).word), [
    "fixed",
    "running",
    "waiting for approval",
    "failed",
    "failed",
  ]);
});

test("the next day has a line per DAG that starts in it", () => {
  const start = (fileName, hours, more = {}) => ({
    fileName,
    kind: "start",
    at: new Date(NOW + hours * HOUR).toISOString(),
    suspended: false,
    ...more,
  });
  const rows = nextDay(
    [
      start("past", -1),
      start("night", 12),
      start("night", 36),
      start("off", 1, { suspended: true }),
      start("stop", 1, { kind: "stop" }),
      start("far", 48),
      ...Array.from({ length: PER_DAY }, (_, index) => start("often", index / 12)),
    ],
    NOW,
  );
  assert.deepEqual(
    rows.map(({ first, marks, dense }) => [first.fileName, marks.length, dense]),
    [
      ["night", 1, false],
      ["often", PER_DAY, true],
    ],
  );
  assert.equal(rows[0].marks[0].left, 50);
});
