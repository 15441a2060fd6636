import assert from "node:assert/strict";
import test from "node:test";

import { clock } from "../../../app/dagbook/web/static/lib/format.js";
import { waitText } from "../../../app/dagbook/web/static/lib/wait-text.js";

const RUN = "0198f1c2-aaaa-bbbb-cccc-0123456789ab";
const SINCE = "2026-01-02T04:04:05+01:00";

test("the runs that hold the places have short ids and the viewer's time of day", () => {
  const message = `queue 'q' has 1 of at most 1 active runs: etl/${RUN} since 2026-01-02T03:04:05Z`;
  const text = waitText({ message, heldBy: [{ name: "etl", dagRunId: RUN, startedAt: SINCE }] });
  assert.equal(text, `queue 'q' has 1 of at most 1 active runs: etl/0198…456789ab since ${clock(new Date(SINCE))}`);
});

test("a pause has the viewer's time of day, and names that look like times or ids stay", () => {
  const message = `queue '2020-01-01T00:00:00Z' is paused since 2026-01-02T03:04:05Z by ${RUN}`;
  const text = waitText({ message, since: SINCE });
  assert.equal(text, `queue '2020-01-01T00:00:00Z' is paused since ${clock(new Date(SINCE))} by ${RUN}`);
});

test("a reason without times and runs stays as the server words it", () => {
  assert.equal(waitText({ message: "its turn has come" }), "its turn has come");
});
