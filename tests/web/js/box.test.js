import assert from "node:assert/strict";
import test from "node:test";

import { askedFor, optionsFor } from "../../../app/dagbook/web/static/lib/box.js";

const PLACES = [["/", "Dashboard"], ["/dags", "DAGs"], ["/queues", "Queues"], ["/workers", "Workers"]];
const RUN = { name: "orders-load", dagRunId: "019ad1c0-1111", status: 2, statusLabel: "failed", startedAt: "" };
const FOUND = {
  dags: [
    { fileName: "orders-load", name: "orders-load", mayStart: true, suspended: false, scheduled: true },
    { fileName: "orders-old", name: "orders-old", mayStart: false, suspended: true, scheduled: true },
  ],
  runs: [RUN],
  params: [{ ...RUN, param: "DAY=orders" }],
  users: [{ id: "1", username: "order-bot", role: "viewer" }],
};
const NONE = { dags: [], runs: [], params: [], users: [] };
const titles = (typed, found = FOUND) => optionsFor(typed, { places: PLACES, found }).map(({ title }) => title);
const SEARCH = (text) => `Search errors and output for “${text}”`;

test("a verb and a name are told apart", () => {
  assert.deepEqual(askedFor("  Start Orders-Load "), { text: "Start Orders-Load", verb: "start", name: "Orders-Load" });
  assert.deepEqual(askedFor("runs of x").name, "x");
  assert.deepEqual(askedFor("start").verb, ""); // it may be a name
  assert.equal(askedFor("x".repeat(300)).text.length, 200);
});

test("nothing typed offers the pages", () => {
  assert.deepEqual(titles("", null), ["Dashboard", "DAGs", "Queues", "Workers"]);
});

test("a page is found by the beginning of its name, and by go to", () => {
  assert.deepEqual(titles("da", NONE), ["Dashboard", "DAGs", SEARCH("da")]);
  assert.deepEqual(titles("go to que", NONE), ["Queues", SEARCH("go to que")]);
  assert.deepEqual(titles("or", NONE), [SEARCH("or")]); // not Workers
});

test("all that has the text is offered, with the actions of the first DAG", () => {
  assert.deepEqual(titles("orders"), [
    "orders-load",
    "orders-old",
    "DAY=orders",
    "Start orders-load…",
    "Suspend orders-load",
    "Definition of orders-load",
    "Runs of orders-load",
    SEARCH("orders"),
  ]);
  assert.deepEqual(titles("019ad1"), ["orders-load", SEARCH("019ad1")]);
  assert.deepEqual(titles("order-b"), ["order-bot", SEARCH("order-b")]);
});

test("a verb offers its action for all DAGs of which the user may do it", () => {
  assert.deepEqual(titles("start orders"), ["Start orders-load…", SEARCH("start orders")]);
  assert.deepEqual(titles("resume orders"), [SEARCH("resume orders")]);
  assert.deepEqual(titles("definition of orders"), [
    "Definition of orders-load",
    "Definition of orders-old",
    SEARCH("definition of orders"),
  ]);
});

test("options have different keys, and lead somewhere", () => {
  const options = optionsFor("orders", { places: PLACES, found: { ...FOUND, runs: [RUN, { ...RUN, dagRunId: "2" }] } });
  assert.equal(new Set(options.map(({ key }) => key)).size, options.length);
  const leads = Object.fromEntries(options.map(({ title, to, search, schedule }) => [title, [to, search, schedule]]));
  assert.deepEqual(leads["DAY=orders"], [["dag-runs", "orders-load", "019ad1c0-1111"], undefined, undefined]);
  assert.deepEqual(leads["Suspend orders-load"], [undefined, undefined, { fileName: "orders-load", suspend: true }]);
  assert.deepEqual(leads["Runs of orders-load"], ["/dag-runs", { q: "orders-load" }, undefined]);
});

test("a text with the keys of a filter leads to the lists that have them", () => {
  const [text, error] = ["status:failed tag:nightly", 'orders error:"KeyError" after:yesterday'];
  assert.deepEqual(titles(text, NONE), [`Runs with ${text}`, `DAGs with ${text}`, SEARCH(text)]);
  assert.deepEqual(titles(error, NONE), [`Runs with ${error}`, SEARCH(error)]);
  const [runs] = optionsFor(error, { places: PLACES, found: null });
  assert.deepEqual([runs.to, runs.search], ["/dag-runs", { q: error }]);
  for (const none of ["https://example.org/x", "nginx:latest", "12:30", "KeyError: 'price'"])
    assert.deepEqual(titles(none, NONE), [SEARCH(none)], none);
});

test("what was found for a shorter text is offered as far as it fits", () => {
  assert.deepEqual(titles("orders-o").slice(0, 1), ["orders-old"]);
});
