import assert from "node:assert/strict";
import test from "node:test";

import { concernsOf } from "../../../app/dagbook/web/static/lib/attention.js";

const CALM = { fromDate: 100, toDate: 200, unusual: [], queues: [], missed: [] };
const concerns = (found, more = {}) => concernsOf({ found: { ...CALM, ...found }, failing: 0, ...more });
const said = (found, more) => concerns(found, more).map(({ link, rest }) => link + rest);
const runs = (kind, count) => Array(count).fill({ kind });

test("the sentence says what needs attention, the most urgent first", () => {
  assert.deepEqual(said({}), []);
  const found = {
    unusual: [...runs("late", 1), ...runs("long", 3)],
    queues: [{ name: "db", stuck: true }, { name: "free" }],
    missed: [{ starts: 1 }],
    disk: { usedPercent: 93.4, freeBytes: 1 },
  };
  assert.deepEqual(said(found, { failing: 2, approvals: 1, unscheduled: true }), [
    "no scheduler is active",
    "2 DAGs are failing",
    "1 start was missed",
    "1 waits for approval",
    "queue db does not move",
    "1 run is late",
    "3 runs take longer than usual",
    "the disk is 93 % full",
  ]);
  const others = {
    unusual: [...runs("late", 2), ...runs("long", 1)],
    queues: [{ name: "a", stuck: true }, { name: "b", stuck: true }],
    missed: [{ starts: 1 }, { starts: 4 }],
    disk: { usedPercent: 40, freeBytes: 1, fullInSeconds: 86400 },
  };
  assert.deepEqual(said(others, { failing: 1, approvals: 2 }), [
    "1 DAG is failing",
    "5 starts were missed",
    "2 wait for approval",
    "2 queues do not move",
    "2 runs are late",
    "1 run takes longer than usual",
    "the disk is 40 % full",
  ]);
  assert.deepEqual(said({}, { failing: 50, more: true }), ["50+ DAGs are failing"]);
  assert.deepEqual(said({ disk: { usedPercent: 60, freeBytes: 1 } }), []);
});

test("a pause of everything without an end needs attention after a day", () => {
  assert.deepEqual(said({ pausedSince: "2026-11-30T10:00:00Z" }), ["everything has been paused for more than a day"]);
});

test("sources that cannot be synced, and files with problems, need attention", () => {
  const source = (name, broken, problem) => ({ name, broken, problem });
  assert.deepEqual(said({ sources: [source("a", 1), source("b", 0)] }), ["1 file has problems"]);
  assert.deepEqual(said({ sources: [source("a", 1), source("b", 2, "no such repository")] }), [
    "source b cannot be synced",
    "3 files have problems",
  ]);
  assert.deepEqual(concerns({ sources: [source("a b", 1)] })[0].to, ["sources", "a b"]);
});

test("each part leads to what it counts", () => {
  const found = { unusual: runs("long", 1), queues: [{ name: "db", stuck: true }], missed: [{ starts: 1 }] };
  assert.deepEqual(
    concerns(found, { failing: 1, approvals: 1, unscheduled: true }).map(({ to, search }) => [to, search]),
    [
      ["/workers", undefined],
      ["/dag-runs", { status: "failed", fromDate: 100, toDate: 200 }],
      ["/schedules", { tab: "past" }],
      ["/approvals", undefined],
      ["/queues", undefined],
      ["/dag-runs", { status: "running" }],
    ],
  );
});
