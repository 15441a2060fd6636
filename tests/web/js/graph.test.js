import assert from "node:assert/strict";
import test from "node:test";

import {
  stepsOfDag,
  stepsOfRun,
  toGraph,
  withDescendants,
} from "../../../app/dagbook/web/static/lib/graph.js";

const step = (name, ...depends) => ({ name, depends });
const fan = (count) => Array.from({ length: count }, (_, index) => step(`fan-${index}`, "first"));

test("each step is a box, each dependency an edge, and unknown ones are left out", () => {
  const { nodes, edges } = toGraph([step("a"), step("b", "a", "gone")]);
  assert.deepEqual(nodes.map(({ id }) => id), ["step:a", "step:b"]);
  assert.deepEqual(edges, [{ from: "step:a", to: "step:b" }]);
});

test("steps that stand at the same place are one box from a dozen on, until they are unfolded", () => {
  const steps = [step("first"), ...fan(12), step("last", ...fan(12).map(({ name }) => name))];
  const folded = toGraph(steps);
  assert.deepEqual(folded.nodes.map(({ id }) => id), ["step:first", "group:fan-0", "step:last"]);
  assert.equal(folded.edges.length, 2);
  assert.equal(toGraph(steps, new Set(["group:fan-0"])).nodes.length, 14);
  assert.equal(toGraph([step("first"), ...fan(11)]).nodes.length, 12);
});

test("the descendants of a step are all that come after it, also against the order of the file", () => {
  const steps = [step("c", "b"), step("b", "a"), step("a"), step("other")];
  assert.deepEqual([...withDescendants(steps, "a")].sort(), ["a", "b", "c"]);
});

test("a group has the most urgent look of its steps, and counts those first", () => {
  const looks = ["good", "bad", "good"].map((tone) => ({ word: tone, icon: "x", tone }));
  const steps = fan(12).map((one, index) => ({ ...one, look: looks[index] }));
  const [group] = toGraph([step("first"), ...steps]).nodes.slice(1);
  assert.deepEqual([group.look.tone, group.note], ["bad", "1 bad, 2 good"]);
});

test("edges and steps of the critical path are known, also through a folded group", () => {
  const names = fan(12).map(({ name }) => name);
  const nodes = [
    { step: { name: "first", depends: [] }, status: 4 },
    ...names.map((name) => ({ step: { name, depends: ["first"] }, status: 4 })),
    { step: { name: "last", depends: [...names, "first"] }, status: 4 },
  ];
  const links = [[0, null], [3, "first"], [13, names[2]]].map(([at, after]) => ({ node: nodes[at], after }));
  const steps = stepsOfRun({ nodes }, null, links);
  assert.deepEqual(steps.filter(({ link }) => link).map(({ name }) => name), ["first", names[2], "last"]);
  const edge = (from, to) => `${from}\n${to}`;
  assert.deepEqual([...toGraph(steps).path], [edge("step:first", "group:fan-0"), edge("group:fan-0", "step:last")]);
  const unfolded = toGraph(steps, new Set(["group:fan-0"]));
  assert.deepEqual([...unfolded.path], [edge("step:first", "step:fan-2"), edge("step:fan-2", "step:last")]);
});

test("a fan-out is counted, and a handler is no step", () => {
  const subRuns = ["a", "b", "c"].map((dagRunId) => ({ dagRunId }));
  const run = {
    status: 1,
    nodes: [
      { step: { name: "each", call: "child", depends: [] }, status: 1, subRuns },
      { step: { name: "onExit", depends: ["each"] }, status: 4 },
    ],
    onExit: { step: { name: "onExit" }, status: 0 },
  };
  const known = new Map([["a", { status: 4 }], ["b", { status: 4 }], ["c", { status: 2 }]]);
  const steps = stepsOfRun(run, known);
  assert.equal(steps[0].count, "3 × child: 1 failed, 2 succeeded");
  const { nodes, edges } = toGraph(steps);
  assert.deepEqual(nodes.map(({ id, note }) => [id, note]), [
    ["step:each", "3 × child: 1 failed, 2 succeeded"],
    ["step:onExit", ""],
    ["handler:onExit", "on exit"],
  ]);
  assert.deepEqual(edges, [{ from: "step:each", to: "step:onExit" }]);
  assert.equal(stepsOfRun(run)[0].count, "3 × child");
  const waiting = new Map([["a", { status: 1, waitingForApproval: true }]]);
  assert.equal(stepsOfRun(run, waiting)[0].count, "3 × child: 1 waiting for approval");
});

test("a step or handler that the end of its run left out was not run", () => {
  const run = { status: 2, nodes: [{ step: { name: "one" }, status: 0 }], onExit: { step: { name: "e" }, status: 0 } };
  assert.deepEqual(stepsOfRun(run).map(({ look }) => look.word), ["not run", "not run"]);
  assert.equal(stepsOfRun({ ...run, status: 1 })[0].look.word, "not started");
});

test("the handlers of a definition are drawn, and its lists of items counted", () => {
  const steps = stepsOfDag({
    name: "x",
    steps: [{ name: "each", call: "child", parallel: { items: ["1", "2"] } }],
    handlerOn: { failure: { name: "onFailure" }, exit: undefined },
  });
  assert.deepEqual(steps.map(({ name, handler, count }) => [name, handler, count]), [
    ["each", undefined, "2 × child"],
    ["onFailure", "on failure", ""],
  ]);
});
