import assert from "node:assert/strict";
import test from "node:test";

import { bannerOf, findLeaf, reasonOf } from "../../../app/dagbook/web/static/lib/runs.js";
import { NODE, RUN } from "../../../app/dagbook/web/static/lib/status.js";

const address = { name: "top", runId: "r1" };
const step = (name, status, more = {}) => ({ step: { name }, status, startedAt: "-", finishedAt: "", ...more });
const call = (name, status, ids) =>
  step(name, status, { error: "2 items failed", subRuns: ids.map((dagRunId) => ({ dagRunId })) });
const run = (dagRunId, nodes, more = {}) => ({ dagRunId, name: "x", status: RUN.FAILED, nodes, ...more });

const TOP = run("r1", [step("before", NODE.SUCCEEDED), call("each", NODE.FAILED, ["a", "b", "c"])]);
const MIDDLE = run("b", [call("deeper", NODE.FAILED, ["d"])]);
const LOW = run("d", [step("good", NODE.SUCCEEDED), step("resize", NODE.FAILED, { error: "exit status 1\nno room" })]);

/** A server with these sub-runs; notes what is read. */
function reader(runs, called, read = []) {
  return async (path, query) => {
    read.push(path.at(-1));
    if (path.at(-1) === "sub-dag-runs") return { subRuns: called[query.parentSubDAGRunId ?? ""] };
    return { dagRunDetails: runs[path.at(-1)] };
  };
}

const CALLED = {
  "": [
    { dagRunId: "a", status: RUN.SUCCEEDED },
    { dagRunId: "b", status: RUN.FAILED },
    { dagRunId: "c", status: RUN.FAILED },
  ],
  b: [{ dagRunId: "d", status: RUN.FAILED }],
};

test("the failing step of the first failed sub-run is found, also through two levels", async () => {
  const leaf = await findLeaf(address, TOP, reader({ b: MIDDLE, d: LOW }, CALLED));
  assert.deepEqual([leaf.step, leaf.subRunId, leaf.run.dagRunId], ["resize", "d", "d"]);
  assert.deepEqual(bannerOf(TOP, leaf), {
    names: ["each", "resize"],
    text: "exit status 1 – no room",
    tone: "bad",
    target: leaf,
  });
});

test("nothing is read for a run whose failed step called nothing", async () => {
  const read = [];
  const leaf = await findLeaf(address, LOW, reader({}, {}, read));
  assert.deepEqual([leaf.step, leaf.subRunId, read], ["resize", null, []]);
  assert.deepEqual(bannerOf(LOW, leaf).target, { step: "resize", subRunId: null });
});

test("a call without a failed sub-run is the failing step itself", async () => {
  const leaf = await findLeaf(address, TOP, reader({}, { "": [{ dagRunId: "a", status: RUN.SUCCEEDED }] }));
  assert.deepEqual([leaf.step, leaf.subRunId], ["each", null]);
  assert.equal(bannerOf(TOP, leaf).text, "2 items failed");
});

test("a sub-run that ended before its first step gives the reason", async () => {
  const nodes = [step("work", NODE.NOT_STARTED)];
  const aborted = run("b", nodes, { status: RUN.ABORTED, error: "a precondition was not met" });
  const leaf = await findLeaf(address, TOP, reader({ b: aborted }, { "": [{ dagRunId: "b", status: RUN.ABORTED }] }));
  assert.deepEqual([leaf.step, leaf.subRunId], ["work", "b"]);
  const { names, text } = bannerOf(TOP, leaf);
  assert.deepEqual([names, text], [["each"], "a precondition was not met"]);
});

test("a sub-run that calls itself for ever is not followed for ever", async () => {
  const read = [];
  await findLeaf(address, run("b", [call("again", NODE.FAILED, ["b"])]), reader(
    { b: run("b", [call("again", NODE.FAILED, ["b"])]) },
    { "": [{ dagRunId: "b", status: RUN.FAILED }], b: [{ dagRunId: "b", status: RUN.FAILED }] },
    read,
  ));
  assert.equal(read.length, 40);
});

test("the reason of a run that no step has failed is its own error", () => {
  const nodes = [step("a", NODE.NOT_STARTED)];
  const error = "secret TOKEN: is not set";
  assert.deepEqual(reasonOf(run("r", nodes, { error })), { step: null, text: error, tone: "bad" });
  assert.equal(reasonOf(run("r", nodes, { status: RUN.ABORTED, error })).tone, "off");
  const handler = { onExit: step("bye", NODE.FAILED, { error: "exit status 1" }) };
  assert.equal(reasonOf(run("r", nodes, { error, ...handler })).text, error);
  assert.equal(reasonOf(run("r", nodes, { status: RUN.ABORTED })), null);
});
