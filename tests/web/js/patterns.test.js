import assert from "node:assert/strict";
import test from "node:test";

import { longestText, matches } from "../../../app/dagbook/web/static/lib/patterns.js";

test("a pattern matches whole names; only * and ? stand for others", () => {
  const names = ["etl", "etl-1", "etl-12", "my-etl", "etl.x"];
  const found = (pattern) => names.filter((name) => matches(pattern, name));
  assert.deepEqual(found("etl"), ["etl"]);
  assert.deepEqual(found("etl-?"), ["etl-1"]);
  assert.deepEqual(found("etl*"), ["etl", "etl-1", "etl-12", "etl.x"]);
  assert.deepEqual(found("etl.?"), ["etl.x"]);
  assert.deepEqual(found("**"), names);
  assert.deepEqual(found("(etl"), []);
});

test("the search is for the longest text that all names have", () => {
  assert.deepEqual(["etl-*", "*-load-?", "*", "etl"].map(longestText), ["etl-", "-load-", "", "etl"]);
});
