import assert from "node:assert/strict";
import test from "node:test";

import {
  like,
  matching,
  partsOf,
  queryFor,
  readFilter,
  readTime,
  suggestionsAt,
  textIn,
  withPart,
  writePart,
  writeTime,
} from "../../../app/dagbook/web/static/lib/filter-text.js";
import { zone } from "../../../app/dagbook/web/static/lib/clock.js";
import { readStatus, statusKey } from "../../../app/dagbook/web/static/lib/status.js";

const NOW = new Date(2026, 10, 30, 14, 5, 40);
const KEYS = {
  "": { param: "name", hint: "part of a name" },
  status: {
    param: "status",
    hint: "failed",
    read: readStatus,
    values: [["failed", "failed"], ["partially-succeeded", "partly succeeded"]],
    old: { status: statusKey },
  },
  tag: { param: "tag", hint: "nightly", many: true, values: [["nightly", ""], ["two words", ""]] },
  error: { param: "error", hint: "KeyError" },
  after: { param: "fromDate", hint: "yesterday", read: readTime, old: { fromDate: writeTime } },
};
const read = (text) => readFilter(text, KEYS, NOW);

test("a text is read into the parameters of the API", () => {
  const { params, problems } = read('status:failed tag:nightly tag:sales error:"Key Error: \\"price\\"" orders daily');
  assert.deepEqual(params, {
    status: 2,
    tag: ["nightly", "sales"],
    error: 'Key Error: "price"',
    name: "orders daily",
  });
  assert.deepEqual(problems, []);
});

test("a value may stand for several parameters", () => {
  assert.deepEqual(read("status:waiting").params, { status: 1, waitingForApproval: true });
});

test("a wrong value is a problem that says what to write, and filters nothing", () => {
  const { params, problems } = read("status:broken after:soon x");
  assert.deepEqual(params, { name: "x" });
  assert.match(problems[0], /^status: "broken" is none of not-started, running, failed, /);
  const times = "today, yesterday, 12h, 7d, 2026-11-30 or 2026-11-30T14:05";
  assert.deepEqual(problems.slice(1), [`after: "soon" is no time; write ${times}`]);
});

test("a key whose values have a form refuses others", () => {
  const keys = { param: { param: "param", hint: "", read: like(/=/u, "NAME=value") } };
  assert.deepEqual(readFilter("param:A=b", keys), { params: { param: "A=b" }, problems: [] });
  assert.deepEqual(readFilter("param:A", keys).problems, ['param: "A" is not NAME=value']);
});

test("an unknown key is a problem, not a word; URLs and errors are words", () => {
  assert.deepEqual(read("statu:failed").problems, [
    "statu: is no key of this list, which has status, tag, error, after; put text with a colon in quotes",
  ]);
  assert.deepEqual(read("http://x KeyError: 1"), { params: { name: "http://x KeyError: 1" }, problems: [] });
});

test("of a key that is given twice the last one counts, which is said", () => {
  const { params, problems } = read("error:a tag:x error:b tag:y");
  assert.deepEqual(params, { error: "b", tag: ["x", "y"] });
  assert.deepEqual(problems, ["error: only the last of several counts"]);
});

test("names of every object are no keys", () => {
  assert.equal(read("constructor:x").problems.length, 1);
  assert.deepEqual(suggestionsAt("constructor:", 12, KEYS).found, []);
});

test("times are seconds, relative ones by the minute", () => {
  const at = (...parts) => String(new Date(2026, 10, ...parts).getTime() / 1000);
  assert.equal(readTime("today", NOW), at(30));
  assert.equal(readTime("yesterday", NOW), at(29));
  assert.equal(readTime("2h", NOW), at(30, 12, 5));
  assert.equal(readTime("1w", NOW), at(23, 14, 5));
  assert.equal(readTime("2026-11-28", NOW), at(28));
  assert.equal(readTime("2026-11-28T09:30", NOW), at(28, 9, 30));
  for (const wrong of ["", "2026-13-01", "2026-11-28T25:00", "-1h", "1y", "2026-11-28T09:30+02:00"])
    assert.throws(() => readTime(wrong, NOW), wrong);
});

test("times are those of the zone of the page, and are written as they are read", () => {
  try {
    zone.value = "America/New_York";
    assert.equal(readTime("2026-03-08", NOW), String(Date.UTC(2026, 2, 8, 5) / 1000)); // the clock changes that day
    assert.equal(readTime("2026-03-09", NOW), String(Date.UTC(2026, 2, 9, 4) / 1000));
    const seconds = [Date.UTC(2026, 2, 9, 4), Date.UTC(2026, 2, 9, 14, 5), Date.UTC(2026, 2, 9, 14, 5, 7)];
    const texts = seconds.map((at) => writeTime(String(at / 1000)));
    assert.deepEqual(texts, ["2026-03-09", "2026-03-09T10:05", "2026-03-09T10:05:07"]);
    assert.deepEqual(texts.map((text) => readTime(text, NOW)), seconds.map((at) => String(at / 1000)));
  } finally {
    zone.value = null;
  }
  assert.deepEqual(["x", "1e99", "-5"].map(writeTime), ["x", "1e99", "-5"]); // which reading refuses
});

test("what is written is read as the same part", () => {
  for (const value of ["x", "two words", 'a "quote"', "back\\slash", "a:b", "é", "{}", 'x"y'])
    for (const key of ["", "error"]) {
      const parts = partsOf(writePart(key, value)).map((part) => [part.key, part.value]);
      assert.deepEqual(parts, [[key, value]]);
    }
});

test("a part is replaced, the others stay", () => {
  assert.equal(withPart("tag:a status:failed x", "status", "queued"), "tag:a x status:queued");
  assert.equal(withPart('error:"a b" status:2', "status", null), 'error:"a b"');
});

test("a quote that is not closed ends with the text", () => {
  assert.deepEqual(read('error:"Key Err').params, { error: "Key Err" });
});

test("the text of an address has the filters of earlier links, and replaces them", () => {
  const query = new URLSearchParams('q=tag:a&status=2&error=Key+"x"&name=a+b&columns=queued&tag=b&tag=c');
  const text = textIn(query, KEYS);
  assert.equal(text, 'tag:a "a b" status:failed tag:b tag:c error:"Key \\"x\\""');
  const changes = queryFor(text, KEYS);
  assert.deepEqual(changes, {
    ...{ name: null, status: null, tag: null, error: null, fromDate: null },
    page: null,
    q: text,
  });
  assert.equal(textIn(new URLSearchParams(""), KEYS), "");
});

test("rows of a list that is loaded whole fit by parts of their texts", () => {
  const rows = [{ names: ["Orders", "Load"], role: "viewer" }, { names: ["sales"], role: "admin" }];
  const fitting = (params) => matching(rows, params, ({ names, role }) => ({ name: names, role })).length;
  assert.deepEqual([{}, { name: "load" }, { name: "a", role: "admin" }, { name: "x" }].map(fitting), [2, 1, 1, 0]);
});

test("keys are suggested, and the values of a key", () => {
  const texts = (text, caret = text.length) => suggestionsAt(text, caret, KEYS).found.map((one) => one.text);
  assert.deepEqual(texts(""), ["status:", "tag:", "error:", "after:"]);
  assert.deepEqual(texts("orders "), ["status:", "tag:", "error:", "after:"]);
  assert.deepEqual(texts("orders st"), ["status:"]);
  assert.deepEqual(texts("status:"), ["status:failed ", "status:partially-succeeded "]);
  assert.deepEqual(texts("status:PAR"), ["status:partially-succeeded "]);
  assert.deepEqual(texts("status:failed"), []); // it is written
  assert.deepEqual(texts('tag:"two'), ['tag:"two words" ']);
  assert.deepEqual(texts("error:"), []);
  const inside = suggestionsAt("sta tag:a", 3, KEYS);
  assert.deepEqual([inside.at, inside.end, inside.found[0].text], [0, 3, "status:"]);
});
