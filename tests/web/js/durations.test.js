import assert from "node:assert/strict";
import test from "node:test";

import { durationText, secondsOf, spanOf } from "../../../app/dagbook/web/static/lib/format.js";

const NOW = Date.UTC(2026, 0, 1, 0, 1);
const begun = { startedAt: "2026-01-01T00:00:00Z" };

test("what goes on lasts to now, what has not begun has no span", () => {
  assert.deepEqual(spanOf(begun, NOW), { from: NOW - 60_000, to: NOW });
  assert.equal(spanOf({ startedAt: "-" }, NOW), null);
  assert.equal(secondsOf({ startedAt: "" }, NOW), null);
});

test("milliseconds count before times that are cut to the second", () => {
  const ended = { finishedAt: "2026-01-01T00:01:00Z", finishedAtMillis: NOW - 250 };
  const step = { ...begun, startedAtMillis: NOW - 500, ...ended };
  assert.equal(secondsOf(step, NOW), 0.25);
});

test("an end before the beginning is no time at all", () => {
  assert.equal(secondsOf({ startedAtMillis: 2000, finishedAtMillis: 1000 }, NOW), 0);
});

test("a duration is that between the ends", () => {
  assert.equal(durationText({ startedAtMillis: 0, finishedAtMillis: 1500 }), "1.5 s");
  assert.equal(durationText({ startedAt: "2026-01-01T00:00:00Z", finishedAt: "2026-01-01T00:00:02Z" }), "2.0 s");
});
