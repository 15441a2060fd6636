import assert from "node:assert/strict";
import test from "node:test";

import {
  changedSteps,
  countLooks,
  itemOf,
  listedFirst,
  lookOfNode,
  lookOfRun,
} from "../../../app/dagbook/web/static/lib/runs.js";
import { NODE, RUN, nodeStatus } from "../../../app/dagbook/web/static/lib/status.js";

const node = (status, startedAt = "-") => ({ step: { name: "one" }, status, startedAt, finishedAt: "-" });
const BEGUN = "2026-11-30T12:00:00Z";

test("a step that never started is not called aborted", () => {
  assert.equal(lookOfNode(node(NODE.ABORTED), true).word, "not run");
  assert.equal(lookOfNode(node(NODE.ABORTED, BEGUN), true).word, "aborted");
  assert.equal(lookOfNode(node(NODE.SKIPPED), true).word, "skipped");
});

test("a step that has not started is not run once its run has finished", () => {
  assert.equal(lookOfNode(node(NODE.NOT_STARTED), false).word, "not started");
  assert.equal(lookOfNode(node(NODE.NOT_STARTED), true).word, "not run");
});

test("a run whose precondition was not met is skipped", () => {
  const preconditions = [{ condition: "5", error: "is 5" }];
  const run = { status: RUN.ABORTED, nodes: [node(NODE.NOT_STARTED)], preconditions };
  assert.equal(lookOfRun(run).word, "skipped");
  assert.equal(lookOfRun({ ...run, preconditions: [{ condition: "5" }] }).word, "aborted");
  assert.equal(lookOfRun({ ...run, nodes: [node(NODE.ABORTED, BEGUN)] }).word, "aborted");
  assert.equal(lookOfRun({ ...run, status: RUN.RUNNING, waitingForApproval: true }).word, "waiting for approval");
});

test("counts name what needs attention first", () => {
  const looks = [NODE.SUCCEEDED, NODE.SUCCEEDED, NODE.RUNNING, NODE.FAILED].map(nodeStatus);
  const words = countLooks(looks).map(({ look, count }) => `${count} ${look.word}`);
  assert.deepEqual(words, ["1 failed", "1 running", "2 succeeded"]);
});

test("the failed sub-runs and the opened one are listed, however many there are", () => {
  const called = ["a", "b", "c", "d"].map((dagRunId) => ({ dagRunId }));
  const known = new Map([["c", { dagRunId: "c", status: RUN.FAILED }]]);
  const listed = (inside) => listedFirst(called, known, inside, 2).map(({ dagRunId }) => dagRunId);
  assert.deepEqual(listed(""), ["c", "a"]);
  assert.deepEqual(listed("d"), ["c", "a", "d"]);
  assert.deepEqual(listed("c"), ["c", "a"]);
});

test("a sub-run is named by its item", () => {
  assert.equal(itemOf({ dagRunId: "F2AHxxxxxxxxxxDENzNNSH", params: "second" }), "second");
  assert.equal(itemOf({ dagRunId: "F2AHxxxxxxxxxxDENzNNSH" }), "F2AH…DENzNNSH");
});

test("steps that another revision changes, adds and removes", () => {
  const ran = [
    { name: "same", cmdWithArgs: "echo ${X}", command: "echo", args: ["7"] },
    { name: "other", cmdWithArgs: "echo 1" },
    { name: "gone" },
  ];
  const defined = [
    { name: "same", command: "echo", args: ["${X}"], cmdWithArgs: "echo ${X}" },
    { name: "other", cmdWithArgs: "echo 2" },
    { name: "added" },
  ];
  assert.deepEqual(changedSteps(ran, defined), ["other", "added", "gone"]);
  assert.deepEqual(changedSteps(ran, ran), []);
});
