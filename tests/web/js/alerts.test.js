import assert from "node:assert/strict";
import test from "node:test";

import {
  KINDS,
  TYPES,
  aboutOf,
  answerOf,
  asRequest,
  channelOf,
  isOfEnd,
  isOfStep,
  kindsFor,
  limitsOf,
  lookOfChannel,
  lookOfKind,
  nextLook,
  ruleOf,
  targetsText,
  toldText,
  valuesFor,
  wordsOf,
} from "../../../app/dagbook/web/static/lib/alerts.js";
import { clock } from "../../../app/dagbook/web/static/lib/format.js";

const NOW = new Date();
const AT = NOW.toISOString();
const receipt = (channel, status, more = {}) => ({
  channel, status, purpose: "opened", tries: 1, attempts: [], dueAt: AT, ...(status === "sent" && { sentAt: AT }),
  ...more,
});
const told = (...receipts) => toldText(receipts).text;

test("who was told is named, with the time of the last message", () => {
  assert.equal(told(receipt("ops", "sent")), `ops at ${clock(NOW)}`);
  assert.equal(told(receipt("ops", "sent"), receipt("pager", "sent")), `ops and pager at ${clock(NOW)}`);
  assert.equal(told(...["ops", "a", "b"].map((name) => receipt(name, "sent"))), `ops and 2 others at ${clock(NOW)}`);
  assert.deepEqual(toldText([]), { text: "no message", tone: "off" });
});

test("a channel that has not been told comes before those that have", () => {
  const late = receipt("pager", "pending", { nextTryAt: AT });
  assert.equal(told(receipt("ops", "sent"), late), `pager pending, next try ${clock(NOW)}; 1 of 2 sent`);
  assert.deepEqual(toldText([late, receipt("ops", "failed")]), { text: "ops failed; 0 of 2 sent", tone: "bad" });
  assert.equal(told(receipt("ops", "dropped")), "ops dropped");
});

test("what is due later is said last, and hides nothing", () => {
  const dueAt = new Date(NOW.getTime() + 900_000).toISOString();
  const later = (channel, purpose) => receipt(channel, "pending", { purpose, dueAt, nextTryAt: dueAt, tries: 0 });
  const at = clock(new Date(dueAt), NOW);
  assert.equal(told(receipt("ops", "sent"), later("pager")), `ops at ${clock(NOW)}; pager due ${at}`);
  assert.equal(told(receipt("ops", "sent"), later("ops", "reminder")), `ops at ${clock(NOW)}`);
  assert.deepEqual(toldText([later("pager")]), { text: `pager due ${at}`, tone: "off" });
  const tried = { ...later("ops"), tries: 3 };
  assert.equal(told(tried, later("pager")), `ops pending, next try ${at}; pager due ${at}`);
});

test("of a channel the newest message counts; one that was dropped, or tells of the end, hides no other", () => {
  assert.equal(told(receipt("ops", "failed"), receipt("ops", "sent", { purpose: "reminder" })), `ops at ${clock(NOW)}`);
  assert.equal(told(receipt("ops", "sent"), receipt("pager", "dropped")), `ops at ${clock(NOW)}`);
  const reminder = receipt("ops", "dropped", { purpose: "reminder" });
  assert.equal(told(receipt("ops", "sent"), reminder), `ops at ${clock(NOW)}`);
  assert.equal(told(receipt("ops", "sent"), receipt("ops", "pending", { purpose: "closed" })), `ops at ${clock(NOW)}`);
  assert.match(told(receipt("ops", "pending", { purpose: "closed" })), /^ops pending/);
});

test("mails of the definition are told of beside channels, those about a step or an approval apart", () => {
  const mail = (what, status = "sent") => receipt("mail.example.org", status, { purpose: "run_mail", mail: what });
  assert.equal(told(receipt("ops", "sent"), mail("failure")), `ops and a mail at ${clock(NOW)}`);
  assert.equal(told(mail("failure", "failed"), mail("success")), "a mail failed; 1 of 2 sent");
  const all = ["failure", "success", "wait 0", "step 1 0"].map((what) => mail(what));
  assert.deepEqual(all.filter(isOfEnd).map((one) => one.mail), ["failure", "success"]);
  assert.ok(isOfEnd(receipt("ops", "sent")));
  assert.ok(!isOfEnd({ ...receipt("http://collector:4318", "sent"), purpose: "trace" }));
  assert.deepEqual([1, 10, 0].map((at) => isOfStep(mail("step 1 0"), at)), [true, false, false]);
  assert.ok(!isOfStep(receipt("ops", "sent"), 1));
  assert.deepEqual(all.map((one) => aboutOf(one, ["load", "report"])), [
    "mail of the definition: its failure", "mail of the definition: its success",
    "mail of the definition: an approval", "mail of the definition: step report",
  ]);
  assert.equal(aboutOf(mail("step 7 0"), []), "mail of the definition: a step");
  assert.equal(aboutOf(receipt("ops", "sent", { purpose: "closed" }), []), "its end");
});

test("an answer has its code, its time and its text, and the reason why nothing follows", () => {
  const answered = (attempt, reason) =>
    answerOf(receipt("ops", "failed", { attempts: [{ ms: 1, code: 500 }, attempt], reason }));
  assert.equal(answered({ ms: 310, code: 200 }), "200 in 310 ms");
  assert.equal(answered({ ms: 15_000, text: "no complete answer within 15 s" }),
    "no answer in 15 s: no complete answer within 15 s");
  assert.equal(answered({ ms: 20, code: 400, text: "no such hook" }, "refused"), "refused; 400 in 20 ms: no such hook");
  assert.equal(answerOf(receipt("ops", "dropped", { reason: "acknowledged" })), "acknowledged");
});

test("messages are looked at again when they are tried, not all the time, and never when none is pending", () => {
  const now = NOW.getTime();
  const later = (seconds) => new Date(now + seconds * 1000).toISOString();
  assert.equal(nextLook([receipt("ops", "sent")], now), null);
  assert.equal(nextLook([receipt("ops", "pending")], now), 2000);
  assert.equal(nextLook([receipt("ops", "pending", { nextTryAt: later(-60) })], now), 2000);
  assert.equal(nextLook([30, 90].map((after) => receipt("ops", "pending", { nextTryAt: later(after) })), now), 32_000);
  assert.equal(nextLook([receipt("ops", "pending", { nextTryAt: later(1e6) })], now), 3_600_000);
});

test("match words are between commas or blanks; a tag may have blanks", () => {
  assert.deepEqual(wordsOf("*, !play-*"), ["*", "!play-*"]);
  assert.deepEqual(wordsOf(" etl-*  nightly,, !tag:not ours , tag:billing"),
    ["etl-*", "nightly", "!tag:not ours", "tag:billing"]);
  assert.deepEqual(wordsOf(" , "), []);
});

const FIELDS = {
  match: "*", "on failed": "on", "to ops": "on", "delay ops": "", after: "1", remind: "86400", quiet: "",
};

test("the fields of a form are a rule", () => {
  const plain = { match: ["*"], on: ["failed"], to: ["ops"], after: 1, remindSeconds: 86_400 };
  assert.deepEqual(ruleOf(FIELDS), plain);
  const pager = { "to pager": "on", "delay pager": " + 15m", "delay mail": "1h" };
  assert.deepEqual(ruleOf({ ...FIELDS, ...pager, "on waiting": "on", quiet: " 22:00-07:00 " }),
    { ...plain, on: ["failed", "waiting"], to: ["ops", "pager +15m"], quiet: "22:00-07:00" });
  const { match: _, ...single } = plain;
  assert.deepEqual(ruleOf({ ...FIELDS, match: undefined, dag: " nightly " }), { ...single, dag: "nightly" });
});

test("a kind with a value is reported for each that its field has, and shown as it was written", () => {
  const { on } = ruleOf({ ...FIELDS, "with overdue": "2h", "with slow": " x3 , 30m", "with queued": " " });
  assert.deepEqual(on, ["failed", "overdue 2h", "slow x3", "slow 30m"]);
  assert.deepEqual(["overdue", "slow", "queued"].map((kind) => valuesFor(on, kind)), ["2h", "x3, 30m", ""]);
});

test("a rule for one DAG reports nothing of servers and channels", () => {
  const others = KINDS.filter((one) => !kindsFor(true).includes(one)).map(({ kind }) => kind);
  assert.deepEqual(others, ["server", "channel"]);
  assert.deepEqual(kindsFor(false), KINDS);
});

test("a stored rule is sent back as it was written", () => {
  const rule = { name: "all", match: ["*"], on: ["failed"], to: ["ops"], after: 2, remindSeconds: 0, enabled: true,
    configured: false, covers: 3 };
  assert.deepEqual(asRequest(rule),
    { match: ["*"], on: ["failed"], to: ["ops"], after: 2, remindSeconds: 0, enabled: true });
  const { match, dag } = asRequest({ ...rule, match: ["nightly"], dag: "nightly" });
  assert.deepEqual([match, dag], [undefined, "nightly"]);
});

test("rules are said in words", () => {
  assert.equal(targetsText(["ops", "pager +15m"]), "ops, pager after 15m");
  assert.equal(limitsOf({ after: 1, remindSeconds: 0 }), "no reminder");
  assert.equal(limitsOf({ after: 1, remindSeconds: 7200 }), "reminder every 2 h 00 m");
  assert.equal(limitsOf({ after: 3, remindSeconds: 3600, quiet: "22:00-07:00" }),
    "from 3 in a row on, reminder every hour, quiet 22:00-07:00");
});

test("a form leaves a secret as it is when its field is empty", () => {
  const fields = { secret: "", interval: "", shared: undefined };
  assert.deepEqual(channelOf({ ...fields, url: " https://host/x " }), { url: "https://host/x", shared: false });
  assert.deepEqual(channelOf({ ...fields, secret: "https://chat/secret", shared: "on", interval: "5" }),
    { secret: "https://chat/secret", intervalSeconds: 5, shared: true });
  const mail = { ...fields, to: "ann@example.org\n\n bob@example.org", sender: "", host: "", port: "", username: "" };
  assert.deepEqual(channelOf(mail), { to: ["ann@example.org", "bob@example.org"], from: "", shared: false });
  assert.deepEqual(channelOf({ ...mail, host: "mail.example.org", port: "587", username: "bot" }).smtp,
    { host: "mail.example.org", port: "587", username: "bot" });
  assert.deepEqual(channelOf({ ...fields, secret: "token", to: " -100123 " }),
    { secret: "token", to: ["-100123"], shared: false });
  const ping = { ...fields, url: "https://host/ping", every: "60" };
  assert.deepEqual(channelOf({ ...ping, fail: "on" }),
    { url: "https://host/ping", everySeconds: 60, fail: true, shared: false });
  assert.equal(channelOf({ ...ping, every: "" }).fail, false);
});

test("states and kinds have a look, also those of later versions", () => {
  const word = (channel) => lookOfChannel(channel).word;
  assert.deepEqual([
    word({ enabled: false, state: "failing" }), word({ enabled: true, state: "failing" }),
    word({ enabled: true, state: "ok" }), word({ enabled: true, state: "unused" }),
  ], ["disabled", "failing", "ok", "unused"]);
  for (const { kind } of KINDS) assert.notEqual(lookOfKind(kind).icon, "unknown");
  assert.equal(lookOfKind("later").word, "later");
  for (const { url, secret, to } of Object.values(TYPES).filter(({ what }) => what !== TYPES.mail.what))
    assert.ok(url || secret || to, "a type without a field leads nowhere");
});
