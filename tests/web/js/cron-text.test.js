import assert from "node:assert/strict";
import test from "node:test";

import { cronText } from "../../../app/dagbook/web/static/lib/cron-text.js";

const SAID = {
  "* * * * *": "every minute",
  "*/5 * * * *": "every 5 minutes",
  "*/7 * * * *": "", // does not divide the hour
  "*/1 * * * *": "",
  "15 * * * *": "every hour at :15",
  "0 3 * * *": "every day at 03:00",
  "30 4 * * 1": "every Monday at 04:30",
  "30 4 * * 7": "every Sunday at 04:30",
  "30 4 * * 8": "",
  "TZ=Europe/Berlin 0 3 * * *": "every day at 03:00",
  "CRON_TZ=UTC 0 3 * * *": "every day at 03:00",
  "0 3 1 * *": "",
  "0 3 * 2 *": "",
  "0 3,4 * * *": "",
  "@daily": "",
};

test("usual expressions have a short name, others none", () => {
  assert.deepEqual(Object.fromEntries(Object.keys(SAID).map((text) => [text, cronText(text)])), SAID);
});
