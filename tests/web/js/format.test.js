import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import * as format from "../../../app/dagbook/web/static/lib/format.js";

const cases = (name, work, rows) =>
  test(name, () => assert.deepEqual(rows.map(([input]) => work(input)), rows.map(([, wanted]) => wanted)));

// The command line is tested with the same table: tests/pure/test_cli_durations.py
const shown = JSON.parse(readFileSync(new URL("shown_durations.json", import.meta.url), "utf8"));
cases("a duration is as exact as it is short", format.duration, [...shown, [null, "–"], [undefined, "–"]]);

cases("bytes have the unit that keeps them short", format.bytes, [
  [0, "0 B"],
  [999, "999 B"],
  [1200, "1.2 kB"],
  [34_000_000, "34 MB"],
]);

cases("a time that the API does not have is none", (text) => format.instant(text)?.getTime() ?? null, [
  ["-", null],
  ["", null],
  [undefined, null],
  ["nonsense", null],
  ["2026-01-02T03:04:05Z", Date.UTC(2026, 0, 2, 3, 4, 5)],
]);

test("a time is told in the largest unit that fits", () => {
  const now = Date.UTC(2026, 0, 10);
  const ago = (seconds) => format.ago(new Date(now - seconds * 1000), now);
  assert.deepEqual([ago(0), ago(180), ago(-7200), ago(86400)], ["now", "3 minutes ago", "in 2 hours", "yesterday"]);
});

test("one thing is singular, any other number plural", () => {
  assert.equal(format.plural(1, "run"), "1 run");
  assert.equal(format.plural(1234, "run"), "1,234 runs");
  assert.equal(format.plural(2, "retry", "retries"), "2 retries");
});

test("a long id is cut in its middle, a short one is whole", () => {
  assert.equal(format.short("0198f1c2-aaaa-bbbb-cccc-0123456789ab"), "0198…456789ab");
  assert.equal(format.short("nightly-7"), "nightly-7");
});
