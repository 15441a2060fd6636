import assert from "node:assert/strict";
import { test } from "node:test";
import { isOf, withNews } from "../../../app/dagbook/web/static/lib/runs.js";

const root = { name: "etl", dagRunId: "r" };
const RUNNING = 1;
const FAILED = 2;
const SUCCEEDED = 4;

test("a change of a sub-run is none of the run that called it", () => {
  const own = { kind: "run", name: "etl", dagRunId: "r" };
  const below = { kind: "run", name: "child", dagRunId: "s", root };
  assert.ok(isOf({ name: "etl", runId: "r" }, own));
  assert.ok(!isOf({ name: "etl", runId: "r" }, below));
  assert.ok(isOf({ name: "etl", runId: "r", subRunId: "s" }, below));
  assert.ok(!isOf({ name: "etl", runId: "r", subRunId: "s" }, own));
  assert.ok(!isOf({ name: "other", runId: "r", subRunId: "s" }, below));
  assert.ok(!isOf({ name: "etl", runId: "r" }, { ...own, kind: "log" }));
});

const news = (dagRunId, status, statusLabel, more = {}) => [
  dagRunId,
  { kind: "run", name: "child", dagRunId, root, status, statusLabel, at: "2026-11-30T10:00:00.000Z", ...more },
];

test("changes show in the list of sub-runs before it is loaded again", () => {
  const list = [
    { dagRunId: "a", status: RUNNING, statusLabel: "running", startedAt: "2026-11-30T09:00:00Z", params: "1" },
    { dagRunId: "b", status: FAILED, statusLabel: "failed", startedAt: "2026-11-30T09:00:00Z", error: "no" },
  ];
  const found = withNews(
    list,
    new Map([
      news("a", SUCCEEDED, "succeeded"),
      news("b", RUNNING, "running"), // an old one: the list knows the end
      news("c", RUNNING, "running"),
      news("d", RUNNING, "running", { removed: true }),
    ]),
  );
  assert.deepEqual([...found.keys()], ["a", "b", "c"]);
  const { status, params, startedAt, finishedAt } = found.get("a");
  assert.deepEqual([status, params], [SUCCEEDED, "1"]);
  assert.deepEqual([startedAt, finishedAt], ["2026-11-30T09:00:00Z", "2026-11-30T10:00:00.000Z"]);
  assert.equal(found.get("b"), list[1]);
  assert.deepEqual([found.get("c").status, found.get("c").finishedAt], [RUNNING, undefined]);
});
