import assert from "node:assert/strict";
import test from "node:test";

import { cronText, zoneIn } from "../../../app/dagbook/web/static/lib/cron-text.js";

const said = (name, rows) =>
  test(name, () => assert.deepEqual(Object.fromEntries(Object.keys(rows).map((text) => [text, cronText(text)])), rows));

said("times of every hour", {
  "* * * * *": "every minute",
  "*/1 * * * *": "every minute",
  "? ? ? ? ?": "every minute",
  "*/5 * * * *": "every 5 minutes",
  "*/30 * * * *": "every 30 minutes",
  "2/5 * * * *": "every 5 minutes from :02",
  "*/7 * * * *": "every 7 minutes from :00 to :56 of every hour",
  "0-10 * * * *": "every minute from :00 to :10 of every hour",
  "15 * * * *": "every hour at :15",
  "5,17,30 * * * *": "every hour at :05, :17 and :30",
});

said("times of a day", {
  "0 3 * * *": "every day at 03:00",
  "0 3,15 * * *": "every day at 03:00 and 15:00",
  "*/20 9 * * *": "every day at 09:00, 09:20 and 09:40",
  "45 */2 * * *": "every 2 hours from 00:45",
  "45 1-23/2 * * *": "every 2 hours from 01:45",
  "0 */5 * * *": "every 5 hours from 00:00 to 20:00",
  "30 9-17 * * *": "every hour from 09:30 to 17:30",
  "0,30 9-17 * * *": "every 30 minutes from 09:00 to 17:30",
  "*/15 9 * * *": "every 15 minutes from 09:00 to 09:45",
  "* 9 * * *": "every minute from 09:00 to 09:59",
  "0 1,3,8,9 * * *": "every day at 01:00, 03:00, 08:00 and 09:00",
  "5,20 9-17 * * *": "at :05 and :20 of every hour from 09 to 17",
  "* */2 * * *": "every minute of every 2nd hour from 00 to 22",
  "1,2,4 3,7,8 * * *": "at :01, :02 and :04 of the hours 03, 07 and 08",
});

said("days of the week", {
  "30 4 * * 1": "every Monday at 04:30",
  "0 4 * * 0": "every Sunday at 04:00",
  "0 7 * * 1-5": "Monday to Friday at 07:00",
  "0 7 * * mon,WED,Fri": "every Monday, Wednesday and Friday at 07:00",
  "0 7 * * 0,6": "every Saturday and Sunday at 07:00",
  "0 7 * * 5,6,0": "Friday to Sunday at 07:00",
  "0 7 * * *,1": "every day at 07:00",
  "*/10 8-16 * * 1-5": "every 10 minutes from 08:00 to 16:50, Monday to Friday",
});

said("days of the month, and months", {
  "0 2 1 * *": "on the 1st of every month at 02:00",
  "0 2 1,15 * *": "on the 1st and 15th of every month at 02:00",
  "0 2 1-7 * *": "on the 1st to 7th of every month at 02:00",
  "0 2 */2 * *": "on every 2nd day from the 1st to the 31st of every month at 02:00",
  "0 2 11-13 * *": "on the 11th to 13th of every month at 02:00",
  "0 2 22,23 * *": "on the 22nd and 23rd of every month at 02:00",
  "0 3 29 2 *": "on the 29th of February at 03:00",
  "0 3 1 JAN,jul *": "on the 1st of January and July at 03:00",
  "0 3 * 6-8 *": "every day in June to August at 03:00",
  "0 3 * 6 1-5": "Monday to Friday in June at 03:00",
  "* * * 12 *": "every minute, every day in December",
});

said("with both day fields a day of either is enough, unless one of them allows every day", {
  "0 0 13 * 5": "on the 13th of every month and also every Friday at 00:00",
  "0 0 13 1 5": "on the 13th of January and also every Friday in January at 00:00",
  "0 0 1-31 * 5": "every day at 00:00",
  "0 0 *,13 * 5": "every Friday at 00:00",
  "0 0 */1 * 5": "every Friday at 00:00",
  "0 0 */2 * 5": "on every 2nd day from the 1st to the 31st of every month and also every Friday at 00:00",
});

said("a zone is not repeated", {
  "TZ=Europe/Berlin 0 3 * * *": "every day at 03:00",
  "CRON_TZ=UTC   0 3 * * *": "every day at 03:00",
});

const REFUSED = ["", "@daily", "0 3 * *", "0 0 3 * * *", "30 4 * * 7", "60 * * * *", "0 24 * * *", "0 0 0 * *",
  "5-1 * * * *", "*/0 * * * *", "1- * * * *", "-1 * * * *", "a * * * *", "0 0 * january *", "0 0 * * 1/", ", * * * *",
  "5/-1 * * * *"];
test("what the server refuses has no words", () => {
  for (const text of REFUSED) assert.equal(cronText(text), "", text);
});

test("whatever is valid has words", () => {
  const fields = [
    ["*", "0", "*/5", "7/20", "1,2,50", "3-9"],
    ["*", "4", "*/3", "5/7", "1,2,9", "8-17"],
    ["*", "31", "*/4", "2/9", "1,9", "1-3"],
    ["*", "2", "*/3", "2/4", "JAN,DEC", "3-6"],
    ["*", "0", "*/2", "1/2", "SUN,TUE", "1-5"],
  ];
  const all = fields.reduce((texts, field) => texts.flatMap((text) => field.map((part) => [...text, part])), [[]]);
  assert.equal(all.length, 6 ** 5);
  const isOdd = (words) => !words || /undefined|NaN|null| {2}|,,|^ | $/.test(words);
  assert.deepEqual(all.map((parts) => parts.join(" ")).filter((text) => isOdd(cronText(text))), []);
});

test("the zone of an expression is the one that it names", () => {
  assert.deepEqual(["TZ=Asia/Tokyo 0 3 * * *", "CRON_TZ=UTC 0 3 * * *", "0 3 * * *"].map(zoneIn), [
    "Asia/Tokyo",
    "UTC",
    "",
  ]);
});
