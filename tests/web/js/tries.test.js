import assert from "node:assert/strict";
import test from "node:test";

import { outcomeOf, tryTitle } from "../../../app/dagbook/web/static/lib/runs.js";
import { NODE } from "../../../app/dagbook/web/static/lib/status.js";

const ended = (status, exitCode, seconds = 12) => ({
  startedAtMillis: 1000,
  finishedAtMillis: 1000 + seconds * 1000,
  status,
  exitCode,
});

test("a try has a title if there are several, and a repetition is no try", () => {
  assert.equal(tryTitle(1, 1), null);
  assert.equal(tryTitle(2, 3), "Try 2 of 3");
  assert.equal(tryTitle(2, 1), "Execution 2");
  assert.equal(tryTitle(2, null), "Try 2");
});

test("an outcome says how a try ended and how long it took", () => {
  assert.equal(outcomeOf(ended(NODE.FAILED, 1)), "failed with exit code 1 · 12 s");
  assert.equal(outcomeOf(ended(NODE.SUCCEEDED, 0, 0.25)), "succeeded · 250 ms");
  assert.equal(outcomeOf(ended(NODE.ABORTED, -1)), "aborted · 12 s");
  assert.equal(outcomeOf(ended(NODE.FAILED)), "failed · 12 s");
  assert.equal(outcomeOf(ended()), "ended · 12 s");
  assert.equal(outcomeOf({ startedAtMillis: 1000 }), "running");
  assert.equal(outcomeOf(undefined), "");
});
