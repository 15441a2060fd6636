import assert from "node:assert/strict";
import test from "node:test";

import { axisOf, barsOf, ticksOf } from "../../../app/dagbook/web/static/lib/day.js";
import { hour } from "../../../app/dagbook/web/static/lib/format.js";

process.env.TZ = "UTC";
const NOW = Date.parse("2026-11-29T12:00:00Z");
const HOUR = 3600000;
const SINCE = NOW - 24 * HOUR;
const run = (hoursAgo, seconds = 10, status = 4, dagRunId = `${hoursAgo} ${status}`) => ({
  dagRunId,
  status,
  startedAt: new Date(NOW - hoursAgo * HOUR).toISOString(),
  finishedAt: seconds === null ? "" : new Date(NOW - hoursAgo * HOUR + seconds * 1000).toISOString(),
});
const near = (found, wanted) => assert.ok(Math.abs(found - wanted) < 0.5, `${found} is not about ${wanted}`);

test("the axis begins at the first run, not before the day, and has some length", () => {
  near((axisOf([run(2), run(1)], SINCE, NOW).from - NOW) / HOUR, -2.02);
  assert.equal(axisOf([run(30, 7 * 3600)], SINCE, NOW).from, SINCE);
  assert.ok(axisOf([run(0)], SINCE, NOW).from <= NOW - 300000);
  assert.equal(axisOf([], SINCE, NOW).to, NOW);
});

test("a run that waits stands where it was queued", () => {
  const queuedAt = new Date(NOW - HOUR).toISOString();
  const waiting = { dagRunId: "w", status: 5, startedAt: "", finishedAt: "", queuedAt };
  near((axisOf([waiting], SINCE, NOW).from - NOW) / HOUR, -1.01);
  near(barsOf([waiting], { from: NOW - 2 * HOUR, to: NOW })[0].left, 50);
});

test("ticks are round times of the day, few enough to be read", () => {
  assert.deepEqual(
    ticksOf({ from: SINCE, to: NOW }),
    [0, 4, 8, 12, 16, 20, 24].map((hours) => ({
      text: hour(new Date(SINCE + hours * HOUR)),
      left: (hours / 24) * 100,
    })),
  );
  const short = ticksOf({ from: NOW - 20 * 60000 - 1000, to: NOW });
  assert.ok(short.length >= 3 && short.length <= 7, `${short.length} ticks`);
  for (const { left } of short) assert.ok(left >= 0 && left <= 100);
});

test("short runs that lie close together are one bar, and failed ones have a bar of their own", () => {
  const axis = { from: SINCE, to: NOW };
  const bars = barsOf([run(0.9), run(1), run(1.01, 5, 2), run(1.02), run(12)], axis);
  assert.deepEqual(
    bars.map(({ runs, failed }) => [runs.length, failed]),
    [
      [1, false],
      [2, false],
      [1, true],
      [1, false],
    ],
  );
  near(bars[0].left, 50);
});

test("long and active runs have bars of their own, as long as they took", () => {
  const axis = { from: SINCE, to: NOW };
  const bars = barsOf([run(1, null, 1, "now"), run(1, 1, 4), run(12, 6 * 3600)], axis);
  assert.deepEqual(bars.map(({ runs }) => runs.length), [1, 1, 1]);
  near(bars[0].width, 25);
  near(bars.find(({ key }) => key === "now").width, 100 / 24);
});
