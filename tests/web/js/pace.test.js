import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget, Pace } from "../../../app/dagbook/web/static/lib/pace.js";

const OWN = { kind: "run" };
const BELOW = { kind: "run", root: { name: "etl", dagRunId: "r" } };

/** The times at which a page loads, that hears of a change every 10 ms for a while; a load takes 20 ms. */
function loads({ seconds, bytes, change = BELOW, budget = new Budget() }) {
  const pace = new Pace(budget);
  const begun = [];
  let due = Infinity;
  for (let now = 0; now < seconds * 1000; now += 10) {
    if (now >= due) {
      begun.push(now);
      pace.note(now, now + 20, bytes);
      due = Infinity;
    }
    due = Math.min(due, pace.due(now, change));
  }
  return begun;
}

test("after a quiet time a change is loaded at once", () => {
  const pace = new Pace(new Budget());
  assert.equal(pace.due(5000, OWN), 5150);
  pace.note(5150, 5200, 1000);
  assert.equal(pace.due(60_000, OWN), 60_150);
});

test("while changes go on, there is one load a second", () => {
  const begun = loads({ seconds: 60, bytes: 1000, change: OWN });
  assert.ok(begun.length >= 58 && begun.length <= 63, `${begun.length} loads`);
  assert.ok(begun[1] - begun[0] < 500, "the second one needs no pause");
});

test("changes of sub-runs load what the budget has", () => {
  const bytes = 30_000;
  const begun = loads({ seconds: 60, bytes });
  const total = begun.length * bytes;
  assert.ok(total > 250_000 && total < 400_000, `${total} bytes`);
});

test("what all kinds of data of a page load is one budget", () => {
  const budget = new Budget();
  budget.spend(0, 40_000);
  assert.ok(new Pace(budget).due(0, BELOW) > 2000);
});

test("even an expensive load is not put off for ever", () => {
  const pace = new Pace(new Budget());
  pace.note(0, 500, 100_000_000);
  assert.equal(pace.due(1000, BELOW), 21_000);
});

test("the change of the run itself does not wait for those of its sub-runs", () => {
  const pace = new Pace(new Budget());
  pace.note(0, 100, 10_000_000);
  assert.ok(pace.due(1000, OWN) <= 1150);
});

test("a slow load is not repeated at once", () => {
  const pace = new Pace(new Budget());
  pace.note(0, 3000, 10);
  assert.equal(pace.due(3000, OWN), 6000);
});

test("growing output comes more often", () => {
  const pace = new Pace(new Budget());
  for (const begin of [2000, 2010, 2020]) pace.note(begin, begin + 5, 100);
  assert.equal(pace.due(2100, { kind: "log" }), 2420);
  assert.ok(pace.due(2100, OWN) > 2420);
});
