import assert from "node:assert/strict";
import test from "node:test";

import { concernsOf, longRuns, sinceText, stuckQueues } from "../../../app/dagbook/web/static/lib/attention.js";

const CALM = { failed: 0, since: "yesterday", approvals: 0, queues: [], long: 0 };
const said = (observed) => concernsOf({ ...CALM, ...observed }, 86400).map(({ link, rest }) => link + rest);
const NOW = Date.parse("2026-11-29T12:00:00Z");
const ago = (seconds) => new Date(NOW - seconds * 1000).toISOString();

test("the sentence says what needs attention, the most urgent first", () => {
  assert.deepEqual(said({}), []);
  assert.deepEqual(said({ failed: 2, approvals: 1, queues: ["db"], long: 3, unscheduled: true }), [
    "no scheduler is active",
    "2 failed since yesterday",
    "1 waits for approval",
    "queue db does not move",
    "3 runs take more than 6 hours",
  ]);
  assert.deepEqual(said({ failed: 500, moreFailed: true, approvals: 2, queues: ["a", "b"], long: 1 }), [
    "500+ failed since yesterday",
    "2 wait for approval",
    "2 queues do not move",
    "1 run takes more than 6 hours",
  ]);
});

test("sources that cannot be synced, and files with problems, need attention", () => {
  const source = (name, broken, problem) => ({ name, broken, problem });
  assert.deepEqual(said({ sources: [source("a", 1), source("b", 0)] }), ["1 file has problems"]);
  assert.deepEqual(said({ sources: [source("a", 1), source("b", 2, "no such repository")] }), [
    "source b cannot be synced",
    "3 files have problems",
  ]);
  const [concern] = concernsOf({ ...CALM, sources: [source("a b", 1)] }, 86400);
  assert.deepEqual(concern.to, ["sources", "a b"]);
});

test("each part leads to what it counts", () => {
  const concerns = concernsOf({ ...CALM, failed: 1, approvals: 1, queues: ["db"], long: 1, unscheduled: true }, 86400);
  assert.deepEqual(
    concerns.map(({ to, search }) => [to, search]),
    [
      ["/workers", undefined],
      ["/dag-runs", { status: "failed", within: 86400 }],
      ["/approvals", undefined],
      ["/queues", undefined],
      ["/dag-runs", { status: "running" }],
    ],
  );
});

test("a queue does not move when it is paused, has no worker, or its head waits for an hour", () => {
  const queue = (name, seconds, more = {}, reason = "limit") => ({
    name,
    queued: [{ queuedAt: ago(seconds), waitingFor: { reason } }],
    ...more,
  });
  const queues = [
    queue("new", 60),
    queue("paused", 60, { paused: { since: ago(60) } }),
    queue("no worker", 60, {}, "noWorker"),
    queue("off", 60, {}, "queuesOff"),
    queue("slow", 3700),
    { name: "empty", queued: [], paused: { since: ago(60) } },
  ];
  assert.deepEqual(stuckQueues(queues, NOW).map(({ name }) => name), ["paused", "no worker", "off", "slow"]);
});

test("a run is long after six hours", () => {
  const runs = [{ startedAt: ago(6 * 3600 - 1) }, { startedAt: ago(6 * 3600 + 1) }, { startedAt: "" }];
  assert.deepEqual(longRuns(runs, NOW), [runs[1]]);
});

test("failures count from yesterday, or from when they were marked as seen", () => {
  const begin = Date.now() - 86400000;
  assert.equal(sinceText(0, begin), "yesterday");
  assert.equal(sinceText(begin - 1, begin), "yesterday");
  assert.match(sinceText(Date.now(), begin), /\d\d:\d\d/);
});
