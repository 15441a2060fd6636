import assert from "node:assert/strict";
import test from "node:test";

import {
  NODE,
  RUN,
  RUN_STATUSES,
  isActive,
  isNodeActive,
  isOver,
  lookOfRow,
  nodeStatus,
  readStatus,
  runStatus,
  statusKey,
} from "../../../app/dagbook/web/static/lib/status.js";

const words = (all, look) => Object.entries(all).map(([name, number]) => [name, look(number).word]);

test("every status has a word; five is another one for a step than for a run", () => {
  assert.deepEqual(words(RUN, runStatus).at(RUN.QUEUED), ["QUEUED", "queued"]);
  assert.deepEqual(words(NODE, nodeStatus).at(NODE.SKIPPED), ["SKIPPED", "skipped"]);
  const all = [...words(RUN, runStatus), ...words(NODE, nodeStatus)];
  assert.ok(all.every(([, word]) => word !== "unknown"));
});

test("a status that the API may get is unknown, and neither active nor over", () => {
  assert.equal(runStatus(99).word, "unknown");
  assert.equal(nodeStatus(undefined).word, "unknown");
  assert.deepEqual([isActive(99), isOver(99)], [false, false]);
});

test("each run is either active or over", () => {
  const active = RUN_STATUSES.filter(({ filter }) => isActive(filter.status)).map(({ look }) => look.word);
  assert.deepEqual(active, ["not started", "running", "queued", "waiting for approval"]);
  assert.ok(RUN_STATUSES.every(({ filter }) => isActive(filter.status) !== isOver(filter.status)));
});

test("a run that waits for an approval is not called running", () => {
  assert.equal(lookOfRow({ status: RUN.RUNNING }).word, "running");
  assert.equal(lookOfRow({ status: RUN.RUNNING, waitingForApproval: true }).word, "waiting for approval");
});

test("statuses are written as words, and as numbers in links of before", () => {
  assert.deepEqual(readStatus("queued"), { status: 5 });
  for (const text of ["partially-succeeded", "partially_succeeded", "Partly Succeeded"])
    assert.deepEqual(readStatus(text), { status: 6 }, text);
  assert.deepEqual(readStatus("waiting"), { status: 1, waitingForApproval: true });
  assert.deepEqual(readStatus("running"), { status: 1, waitingForApproval: false });
  assert.deepEqual(readStatus("1"), { status: 1 }); // which waits or not
  assert.deepEqual(["5", "1", "waiting", "nonsense"].map(statusKey), ["queued", "running", "waiting", "nonsense"]);
});

test("what is no status is refused with those that there are", () => {
  for (const text of ["broken", "9", ""])
    assert.throws(() => readStatus(text), /is none of not-started, running, failed/);
});

test("a step may still write until it has ended", () => {
  const active = Object.values(NODE).filter(isNodeActive);
  assert.deepEqual(active, [NODE.NOT_STARTED, NODE.RUNNING]);
});
