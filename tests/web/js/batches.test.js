import assert from "node:assert/strict";
import test from "node:test";

import {
  countText,
  isAbout,
  isOpen,
  lookOfBatch,
  optionsOf,
  partsOf,
  reasonOfBatch,
  subjectOf,
} from "../../../app/dagbook/web/static/lib/batches.js";

const COUNTS = { planned: 0, begun: 0, done: 0, failed: 0, leftOut: 0 };
const AT = "2026-11-30T10:00:00Z";
const said = (batch) => [lookOfBatch({ counts: COUNTS, ...batch }).word, reasonOfBatch(batch), isOpen(batch)];

test("a batch says how far it is, in the order of its bar and without what is nothing", () => {
  const counts = { ...COUNTS, planned: 1200, failed: 1, leftOut: 2 };
  assert.deepEqual(partsOf(counts).map(({ state, count }) => [state, count]),
    [["failed", 1], ["left_out", 2], ["planned", 1200]]);
  assert.equal(countText(counts), "1 failed, 2 left out, 1,200 planned");
  assert.equal(countText(COUNTS), "");
});

test("a batch has one state, and says why", () => {
  assert.deepEqual(said({}), ["open", "", true]);
  assert.deepEqual(said({ pausedAt: AT, pausedBy: "ann" }), ["paused", "by ann", true]);
  assert.deepEqual(said({ pausedAt: AT, pausedWhy: "x has failed" }), ["paused", "x has failed", true]);
  assert.deepEqual(said({ cancelledAt: AT, cancelledBy: "ann" }), ["cancelled", "by ann; its runs go on", false]);
  assert.deepEqual(said({ cancelledAt: AT, cancelledBy: "ann", endedAt: AT }), ["cancelled", "by ann", false]);
  assert.deepEqual(said({ endedAt: AT, pausedAt: AT, pausedBy: "ann" }), ["ended", "", false]);
  assert.equal(lookOfBatch({ endedAt: AT, counts: { ...COUNTS, failed: 1 } }).tone, "bad");
});

test("what a batch was asked is said in words, also what this page does not know", () => {
  const filter = { dag: "etl", from: "2026-03-01", to: "2026-03-31T02:00:00+01:00" };
  assert.equal(subjectOf({ action: "start", filter }),
    "missing and failed times, 2026-03-01 to 2026-03-31 02:00:00+01:00");
  assert.equal(subjectOf({ action: "start", filter: { ...filter, to: "2026-03-02", only: "all", unknown: true } }),
    "all times, 2026-03-01 to 2026-03-02, also unknown ones");
  assert.equal(subjectOf({ action: "again", filter: { dag: "etl", revision: [9, 10], step: "load" } }),
    "revision [9,10], step load");
  const usual = { parallel: 1, order: "oldest", onFailure: "continue", text: "current" };
  assert.equal(optionsOf(usual), "1 at a time, oldest first");
  assert.equal(optionsOf({ ...usual, onFailure: "stop", text: "12" }),
    "1 at a time, oldest first, pauses after a failure, revision 12");
  assert.match(optionsOf({ ...usual, text: "original" }), /each with its own text$/u);
});

test("a batch is loaded again after changes of itself, and of runs of its DAG while it is open", () => {
  const batch = { dagName: "etl" };
  assert.ok(isAbout({ kind: "batch", name: "etl" }, batch));
  assert.ok(!isAbout({ kind: "batch", name: "other" }, batch));
  assert.ok(isAbout({ kind: "batch" }, batch));
  assert.ok(isAbout({ kind: "run", name: "etl" }, batch));
  assert.ok(!isAbout({ kind: "run", name: "etl", root: { name: "etl", dagRunId: "1" } }, batch));
  assert.ok(!isAbout({ kind: "run", name: "other" }, batch));
  assert.ok(!isAbout({ kind: "run", name: "etl" }, { ...batch, endedAt: AT }));
  assert.ok(isAbout({ kind: "run", name: "other" }, {}));
  assert.ok(!isAbout({ kind: "queue", queue: "etl" }, batch));
});
