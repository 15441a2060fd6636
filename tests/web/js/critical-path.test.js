import assert from "node:assert/strict";
import test from "node:test";

import { criticalPath } from "../../../app/dagbook/web/static/lib/critical-path.js";

const node = (name, from, to, ...depends) => ({
  step: { name, depends },
  startedAt: "",
  ...(from !== null && { startedAtMillis: from }),
  ...(to !== null && { finishedAtMillis: to }),
});
const run = (nodes, more = {}) => ({ startedAtMillis: 1000, finishedAtMillis: 9000, nodes, ...more });
const pathOf = (...given) =>
  criticalPath(...given).links.map(({ node: { step }, wait, after }) => [step.name, wait, after]);

test("of two dependencies the path goes through the one that ended last", () => {
  const nodes = [
    node("begin", 1000, 2000),
    node("short", 2000, 2500, "begin"),
    node("long", 2000, 8000, "begin"),
    node("end", 8000, 9000, "short", "long"),
  ];
  assert.deepEqual(pathOf(run(nodes)), [["begin", 0, null], ["long", 0, "begin"], ["end", 0, "long"]]);
  const { links, total, waited } = criticalPath(run(nodes));
  assert.deepEqual([links[1].node, links[1].from, links[1].to], [nodes[2], 2000, 8000]);
  assert.deepEqual([total, waited], [8000, 0]);
});

test("time without a step of the path is waited: before the first, between two, and after the last", () => {
  const path = criticalPath(run([node("one", 1500, 2000), node("two", 3000, 8800, "one")]));
  assert.deepEqual(path.links.map(({ wait }) => wait), [500, 1000]);
  assert.equal(path.waited, 1700);
});

test("a step that waited for a free place comes after the step that left it", () => {
  const nodes = [node("a", 1000, 4000), node("b", 1000, 3000), node("c", 3000, 9000), node("d", 4001, 5000)];
  assert.deepEqual(pathOf(run(nodes)), [["b", 0, null], ["c", 0, null]]);
  const late = [node("a", 1000, 2000), node("x", 1000, 5000), node("b", 5000, 9000, "a")];
  assert.deepEqual(pathOf(run(late)), [["x", 0, null], ["b", 0, null]]);
});

test("a delay is no free place: no step ended when the next one began", () => {
  const nodes = [node("a", 1000, 2000), node("x", 1000, 3000), node("b", 5000, 9000, "a")];
  assert.deepEqual(pathOf(run(nodes)), [["a", 0, null], ["b", 3000, "a"]]);
});

test("a retried step counts from its first try to its last", () => {
  const nodes = [{ ...node("flaky", 1000, 7000), retryCount: 2 }, node("end", 7000, 9000, "flaky")];
  assert.deepEqual(criticalPath(run(nodes)).links.map(({ from, to }) => to - from), [6000, 2000]);
});

test("of a run under way the path ends with the step that runs longest, up to now", () => {
  const nodes = [node("a", 1000, 2000), node("b", 2000, null, "a"), node("c", 4000, null), node("d", null, null, "b")];
  const path = criticalPath(run(nodes, { finishedAtMillis: undefined }), 12_000);
  assert.deepEqual(path.links.map((link) => [link.node.step.name, link.to]), [["a", 2000], ["b", 12_000]]);
  assert.deepEqual([path.total, path.waited], [11_000, 0]);
});

test("a step that did not run is passed over", () => {
  const nodes = [node("a", 1000, 3000), node("skipped", null, null, "a"), node("b", 3000, 9000, "skipped", "gone")];
  assert.deepEqual(pathOf(run(nodes)), [["a", 0, null], ["b", 0, null]]);
});

test("results of an earlier attempt took no time of this one", () => {
  const nodes = [node("kept", 200, 700), node("again", 1000, 9000, "kept")];
  assert.deepEqual(pathOf(run(nodes)), [["again", 0, null]]);
});

test("a handler comes after what ended last before it, and the one of approvals holds up nothing", () => {
  const [onExit, onWait] = [node("onExit", 8000, 9000), node("onWait", 1500, 9000)];
  const nodes = [node("a", 1000, 5000), node("b", 1000, 8000)];
  assert.deepEqual(pathOf(run(nodes, { onExit, onWait })), [["b", 0, null], ["onExit", 0, null]]);
});

test("steps that took no time are each there once", () => {
  const nodes = [node("a", 1000, 1000), node("b", 1000, 1000, "a"), node("c", 3000, 3000, "b")];
  assert.deepEqual(pathOf(run(nodes)), [["a", 0, null], ["b", 0, "a"], ["c", 2000, "b"]]);
});

test("there is none before a step has started", () => {
  assert.equal(criticalPath(run([node("a", null, null)])), null);
  assert.equal(criticalPath({ nodes: [], startedAt: "-" }), null);
});

test("a chain of thousands of steps is found at once", () => {
  const nodes = Array.from({ length: 5000 }, (_, at) => node(`s${at}`, 1000 + at, 1001 + at, `s${at - 1}`));
  const begin = performance.now();
  assert.equal(criticalPath(run(nodes, { finishedAtMillis: 6000 })).links.length, 5000);
  assert.ok(performance.now() - begin < 500);
});
