import assert from "node:assert/strict";
import test from "node:test";

import { eventsOf } from "../../../app/dagbook/web/static/lib/events.js";

test("a line of a run's log is its time, level, words, and what else it names", () => {
  const line = 'time=2026-01-02T03:04:05Z level=INFO msg="step \\"a\\" ended" dag=etl dagRunId=1 step=a exitCode=3';
  assert.deepEqual(eventsOf(`${line}\n`), [
    { at: "2026-01-02T03:04:05Z", level: "INFO", text: 'step "a" ended', rest: [["step", "a"], ["exitCode", "3"]] },
  ]);
});

test("a line that is none of these shows as it is", () => {
  assert.deepEqual(eventsOf("just words"), [{ at: null, level: "", text: "just words", rest: [] }]);
});
