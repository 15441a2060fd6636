import assert from "node:assert/strict";
import test from "node:test";

import {
  NODE,
  RUN,
  RUN_STATUSES,
  isActive,
  isNodeActive,
  isOver,
  nodeStatus,
  runStatus,
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
  const active = RUN_STATUSES.filter(({ number }) => isActive(number)).map(({ word }) => word);
  assert.deepEqual(active, ["not started", "running", "queued"]);
  assert.ok(RUN_STATUSES.every(({ number }) => isActive(number) !== isOver(number)));
});

test("a step may still write until it has ended", () => {
  const active = Object.values(NODE).filter(isNodeActive);
  assert.deepEqual(active, [NODE.NOT_STARTED, NODE.RUNNING]);
});
