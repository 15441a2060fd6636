import assert from "node:assert/strict";
import test from "node:test";

import { eventsOf, sentenceOf } from "../../../app/dagbook/web/static/lib/events.js";

test("a line of a run's log is its time, level, words, and what else it names", () => {
  const line = 'time=2026-01-02T03:04:05Z level=INFO msg="step \\"a\\" ended" dag=etl dagRunId=1 step=a exitCode=3';
  assert.deepEqual(eventsOf(`${line}\n`), [
    { at: "2026-01-02T03:04:05Z", level: "INFO", text: 'step "a" ended', rest: [["step", "a"], ["exitCode", "3"]] },
  ]);
});

test("a line that is none of these shows as it is", () => {
  assert.deepEqual(eventsOf("just words"), [{ at: null, level: "", text: "just words", rest: [] }]);
});

const line = (message, fields) => `time=2026-01-02T03:04:05Z level=INFO msg="${message}" ${fields}`;
const said = (message, fields) => sentenceOf(eventsOf(line(message, fields))[0]);

test("an event of a step is a sentence about it", () => {
  assert.deepEqual(said("step started", "step=a"), { step: "a", text: "started", details: "" });
  assert.deepEqual(said("step finished", "step=a status=succeeded exit-code=0"), {
    step: "a",
    text: "succeeded",
    details: "",
  });
  const error = 'err="exit status 1\\nlast of stderr:\\nno price"';
  const failed = said("step finished", `step=a status=failed exit-code=1 ${error}`);
  assert.deepEqual(failed, { step: "a", text: "failed", details: "exit status 1 – no price" });
  const skipped = said("step is not run", 'step=b status=aborted err="not run: a step it depends on failed"');
  assert.deepEqual(skipped, { step: "b", text: "did not run", details: "a step it depends on failed" });
  const again = said("step failed and will be retried", "step=a until=2026-01-02T03:04:06Z retry=1 exit-code=3");
  assert.match(again.details, /^exit code 3, retry 1, at \d\d:04:06\.000$/);
});

test("an event of the run names nothing twice, and keeps what is unknown", () => {
  const accepted = said("run accepted", "trigger=api actor=ada");
  assert.deepEqual(accepted, { step: "", text: "run accepted", details: "by ada" });
  assert.deepEqual(said("run finished", "status=succeeded"), { step: "", text: "run succeeded", details: "" });
  assert.deepEqual(said("run finished", "status=failed").text, "run finished");
  assert.deepEqual(said("odd", "colour=red").details, "colour red");
});
