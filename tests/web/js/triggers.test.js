import assert from "node:assert/strict";
import test from "node:test";

import {
  EVENT_STATES,
  changesOf,
  kindOf,
  lookOfEvent,
  lookOfTrigger,
  paramLines,
  reasonOfTrigger,
  sampleOf,
  triggerOf,
} from "../../../app/dagbook/web/static/lib/triggers.js";

const FIELDS = { dag: " build ", params: "", filters: "", queue: "", priority: "0", perMinute: "", maxBytes: "",
  maxWaiting: "" };
const said = (trigger) => [lookOfTrigger(trigger).word, reasonOfTrigger(trigger)];

test("a trigger says why it starts nothing, the most lasting reason first", () => {
  assert.deepEqual(said({ dag: "build" }), ["ready", ""]);
  const paused = { pausedAt: "2026-11-30T10:00:00Z", waitsFor: "the trigger is paused" };
  assert.deepEqual(said({}), ["DAG deleted", "its events are dead"]);
  assert.deepEqual(said(paused), ["DAG deleted", "the trigger is paused"]);
  assert.deepEqual(said({ dag: "build", ...paused, pausedBy: "ada", problem: "gone" }), ["paused", "by ada"]);
  assert.deepEqual(said({ dag: "build", waitsFor: "the DAG is suspended" }), ["waiting", "the DAG is suspended"]);
});

test("a trigger that looks says how often it has, and what keeps it from that", () => {
  const looking = { dag: "load", everySeconds: 60, looks: 0 };
  assert.deepEqual(said({ ...looking, host: "alpha" }), ["not looked yet", "waits for a look on alpha"]);
  assert.deepEqual(said({ ...looking, lookedAt: "now", looks: 41 }), ["ready", "nothing new after 41 looks"]);
  assert.deepEqual(said({ ...looking, problem: "the host key has changed" }), ["problem", "the host key has changed"]);
});

test("the kind of a webhook has its scheme", () => {
  assert.equal(kindOf({ kind: "webhook", scheme: "github" }), "webhook: github");
  assert.equal(kindOf({ kind: "after" }), "after");
});

test("each state of an event has a look", () => {
  assert.deepEqual(EVENT_STATES.map((state) => lookOfEvent({ state }).word), EVENT_STATES);
});

test("a form says params and filters line by line", () => {
  const params = { SHA: "json:/after", "KIND!": "header:X-Kind", LAST: "json:/a=b" };
  const text = `\n ${paramLines(params).join(" \n")}\n`;
  const found = triggerOf({ ...FIELDS, params: text, filters: "json:/ref = main\n\n header:X-Kind exists " });
  assert.deepEqual(found.params, params);
  assert.deepEqual(found.filters, ["json:/ref = main", "header:X-Kind exists"]);
  assert.throws(() => triggerOf({ ...FIELDS, params: "=json:/a" }), /"=json:\/a" is no param; write NAME=json:\/a\/b/);
});

test("what a form leaves empty is that of the server, and settings are those of the scheme", () => {
  assert.deepEqual(triggerOf(FIELDS),
    { dag: "build", params: {}, filters: [], queue: "", priority: 0, collapse: false });
  assert.deepEqual(triggerOf({ ...FIELDS, key: " json:/id " }).settings, { key: "json:/id" });
  const hmac = { key: "", header: " X-Sign ", prefix: "", encoding: "base64", timeHeader: "", signed: "" };
  assert.deepEqual(triggerOf({ ...FIELDS, ...hmac, perMinute: "6", collapse: "on" }), {
    dag: "build", params: {}, filters: [], queue: "", priority: 0, perMinute: 6, collapse: true,
    settings: { header: "X-Sign", prefix: "", encoding: "base64", timeHeader: "", signed: "", repeats: false },
  });
});

test("a sample has its headers line by line, and its body as it is", () => {
  const sample = { body: " {} ", headers: { "Content-Type": "application/json", "X-Time": "12:30:00" } };
  assert.deepEqual(sampleOf({ body: " {} ", headers: "Content-Type: application/json\n\nX-Time:12:30:00\n" }), sample);
  assert.throws(() => sampleOf({ body: "", headers: "X-Kind" }), /"X-Kind" is no header; write Name: value/);
});

test("a change has what differs alone", () => {
  const trigger = { name: "push", dag: "build", params: { SHA: "json:/after" }, filters: [], priority: 0,
    perMinute: 120, collapse: false };
  const fields = { ...FIELDS, params: "SHA=json:/after", perMinute: "120" };
  assert.deepEqual(changesOf(trigger, triggerOf(fields)), {});
  assert.deepEqual(changesOf({ ...trigger, queue: "small" }, triggerOf({ ...fields, queue: "small" })), {});
  assert.deepEqual(changesOf({ ...trigger, queue: "small" }, triggerOf({ ...fields, dag: "other", perMinute: "6" })),
    { dag: "other", queue: "", perMinute: 6 });
});
