import assert from "node:assert/strict";
import test from "node:test";

import { aheadOfUtc, dayOf, knownZone, shownZone, zone } from "../../../app/dagbook/web/static/lib/clock.js";
import { ticksOf } from "../../../app/dagbook/web/static/lib/overview.js";
import { clock, dayAndTime, exact, hour, moment } from "../../../app/dagbook/web/static/lib/format.js";

process.env.TZ = "UTC";
const AT = new Date("2026-11-30T23:30:05.123Z");
const HOUR = 3600000; // milliseconds

/** Call work with another zone of the page. */
function within(name, work) {
  zone.value = name;
  try {
    return work();
  } finally {
    zone.value = null;
  }
}

test("every time is in the zone of the page", () => {
  assert.equal(hour(AT), hour(new Date("2026-11-30T23:30:00Z")));
  assert.equal(within("Asia/Tokyo", () => moment(AT)), "08:30:05.123");
  assert.equal(within("Asia/Tokyo", () => dayOf(AT)), "2026-12-01");
  assert.match(within("Asia/Tokyo", () => exact(AT)), /\b0?8:30:05/);
  assert.equal(within("Asia/Tokyo", shownZone), "Asia/Tokyo");
  assert.equal(shownZone(), "UTC");
});

test("an exact time is told in the zone of the schedule too, if that is another one", () => {
  assert.match(exact(AT, "Asia/Tokyo"), / in Asia\/Tokyo\)$/);
  assert.doesNotMatch(exact(AT, "Etc/UTC"), /UTC/);
  assert.doesNotMatch(within("Asia/Tokyo", () => exact(AT, "Asia/Tokyo")), /Tokyo/);
  assert.doesNotMatch(exact(AT, "Nowhere/City"), /Nowhere/);
});

test("a day is today or tomorrow by the clock of the page", () => {
  const now = new Date("2026-11-30T12:00:00Z");
  assert.match(dayAndTime(AT, now), /^today /);
  assert.match(within("Asia/Tokyo", () => dayAndTime(AT, now)), /^tomorrow /);
  const later = new Date("2026-12-24T01:00:00Z");
  assert.match(dayAndTime(later, now), /Thu/);
  assert.doesNotMatch(dayAndTime(later, now), /2026/);
  assert.match(dayAndTime(new Date("2028-02-29T00:00:00Z"), now), /2028/);
  assert.match(clock(AT, now), /^\d/);
  assert.match(within("Asia/Tokyo", () => clock(AT, now)), /Dec/);
});

test("UTC has one name, and a zone that is not known none", () => {
  assert.deepEqual(["UTC", "Etc/UTC", "Europe/Berlin", "Nowhere/City", "", null].map(knownZone), [
    "UTC",
    "UTC",
    "Europe/Berlin",
    null,
    null,
    null,
  ]);
});

test("the clock of the page is ahead of UTC by the hours of that day", () => {
  const ahead = (name, time) => within(name, () => aheadOfUtc(Date.parse(time)) / HOUR);
  assert.equal(ahead("Europe/Berlin", "2026-07-01T12:00:00.5Z"), 2);
  assert.equal(ahead("Europe/Berlin", "2026-12-01T12:00:00Z"), 1);
  assert.equal(ahead("America/St_Johns", "2026-12-01T12:00:00Z"), -3.5);
});

test("ticks of an axis are round times of the clock of the page", () => {
  const to = Date.parse("2026-12-01T12:10:00Z");
  const ticks = within("Asia/Kolkata", () => ticksOf({ from: to - 24 * HOUR, to }));
  assert.ok(ticks.length > 2);
  for (const { text } of ticks) assert.match(text, /:00/);
});
