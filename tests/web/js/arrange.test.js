import assert from "node:assert/strict";
import test from "node:test";

import { inOrder, pathOf, withHandlers } from "../../../app/dagbook/web/static/lib/arrange.js";
import { toGraph } from "../../../app/dagbook/web/static/lib/graph.js";

const box = (x, y) => ({ x, y, width: 120, height: 32 });

test("steps with the same neighbours stand in the order of the definition, and their lines go with them", () => {
  const names = ["one", "two", "three", "four"];
  const depends = ["first"];
  const graph = toGraph([{ name: "first", depends: [] }, ...names.map((name) => ({ name, depends }))]);
  const order = [60, 480, 200, 340];
  const found = inOrder(graph, {
    places: Object.fromEntries([["step:first", box(270, 20)],
      ...names.map((name, index) => [`step:${name}`, box(order[index], 90)])]),
    lines: names.map((name, index) => ({ from: "step:first", to: `step:${name}`,
      points: [{ x: 270, y: 36 }, { x: order[index], y: 60 }, { x: order[index], y: 74 }] })),
  });
  assert.deepEqual(names.map((name) => found.places[`step:${name}`].x), [60, 200, 340, 480]);
  for (const { to, points } of found.lines) assert.equal(points[2].x, found.places[to].x);
});

test("handlers are below the steps, and have their room", () => {
  const placed = { places: { "step:a": box(60, 28) }, lines: [], width: 120, height: 60, direction: "TB" };
  const graph = toGraph([
    { name: "a", depends: [] },
    { name: "onFailure", depends: [], handler: "on failure" },
    { name: "onExit", depends: [], handler: "on exit" },
  ]);
  const { places, width, height } = withHandlers(graph, placed);
  const [first, second] = [places["handler:onFailure"], places["handler:onExit"]];
  assert.ok(first.y - first.height / 2 >= 60 && first.y === second.y);
  assert.ok(second.x - first.x > first.width && width >= second.x + second.width / 2);
  assert.ok(height > first.y + first.height / 2);
  assert.equal(withHandlers(toGraph([{ name: "a", depends: [] }]), placed), placed);
});

test("a line begins and ends in the middle of a side, with an arrowhead at its end", () => {
  const placed = { places: { a: box(100, 20), b: box(300, 100) } };
  const line = { from: "a", to: "b", points: [{ x: 160, y: 36 }, { x: 200, y: 60 }, { x: 240, y: 84 }] };
  const down = pathOf(line, { ...placed, direction: "TB" });
  assert.match(down.line, /^M100 36C/);
  assert.match(down.line, / 300 77$/);
  assert.match(down.head, /^M300 84L/);
  const right = pathOf(line, { ...placed, direction: "LR" });
  assert.match(right.line, /^M160 20C/);
  assert.match(right.line, / 233 100$/);
  assert.match(right.head, /^M240 100L/);
});
