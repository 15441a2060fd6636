import assert from "node:assert/strict";
import test from "node:test";

import { clock } from "../../../app/dagbook/web/static/lib/format.js";
import { sharedCause, waitText } from "../../../app/dagbook/web/static/lib/runs.js";

const SINCE = "2026-01-02T04:04:05+01:00";
const AT = clock(new Date(SINCE));
const holder = (name) => ({ name, dagRunId: "0198f1c2-aaaa-bbbb-cccc-0123456789ab", startedAt: SINCE });
const waits = (more) => ({ item: 1, priority: 0, position: 1, queue: "q", message: "as the server says", ...more });

test("a full queue is told with the runs that are active, since the viewer's time of day", () => {
  const text = waitText(waits({ reason: "limit", running: 1, limit: 1, heldBy: [holder("etl")] }));
  assert.equal(text, `Queue q is full (1 of 1 active): etl since ${AT}`);
});

test("runs ahead and active runs that are not named are counted", () => {
  const found = waits({ reason: "limit", position: 3, running: 5, limit: 5, heldBy: [holder("etl"), holder("sync")] });
  const active = `etl since ${AT}, sync since ${AT} and 3 more`;
  assert.equal(waitText(found), `2 runs ahead. Queue q is full (5 of 5 active): ${active}`);
  assert.equal(waitText(waits({ reason: "limit", running: 2, limit: 2 })), "Queue q is full (2 of 2 active)");
});

test("a pause is told with its time and who paused", () => {
  assert.equal(waitText(waits({ reason: "paused", since: SINCE, by: "ada" })), `Queue q is paused since ${AT} by ada`);
  assert.equal(waitText(waits({ reason: "paused" })), "Queue q is paused");
});

test("a pause is told with its end and its reason, that of everything without a queue", () => {
  const pause = { reason: "paused", since: SINCE, by: "ada", until: SINCE, pauseReason: "full disk" };
  assert.equal(waitText(waits(pause)), `Queue q is paused since ${AT} by ada until ${AT}: full disk`);
  const everything = { ...pause, everything: true, position: 3 };
  assert.equal(waitText(waits(everything)), `2 runs ahead. Everything is paused by ada until ${AT}: full disk`);
});

test("the next one says so, and any other reason is that of the server", () => {
  assert.equal(waitText(waits({ reason: "turn" })), "Starts next");
  assert.equal(waitText(waits({ reason: "noWorker" })), "as the server says");
});

test("the reason that most queued runs share is said once", () => {
  const one = (reason) => ({ waitingFor: reason && waits({ reason, running: 2, limit: 2 }) });
  const queued = (...reasons) => reasons.map(one);
  const full = "Queue q is full (2 of 2 active)";
  assert.equal(sharedCause(queued("turn", "limit", "limit")), full);
  assert.equal(sharedCause(queued("limit")), full);
  assert.equal(sharedCause(queued("turn", "limit")), "");
  assert.equal(sharedCause(queued(undefined)), "");
  assert.equal(sharedCause([]), "");
});
