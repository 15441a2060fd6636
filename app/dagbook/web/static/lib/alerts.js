// Alerts in words: what was sent to whom, and what rules say. Pure.

import { clock, duration, instant, plural } from "./format.js";
import { RUN, WAITING, runStatus } from "./status.js";

/** @import { ChannelType, Look, Reportable } from "../../types/ui" */

const [SOONEST, LATEST] = [2000, 3_600_000]; // milliseconds until messages are looked at again

/** What a rule can report; `sample` is a value of one that has some. @type {Reportable[]} */
export const KINDS = [
  { kind: "failed", what: "after all retries of its steps" },
  { kind: "partial", what: "a run partly succeeded" },
  { kind: "aborted", what: "a user stopped a run" },
  { kind: "succeeded", what: "each success" },
  { kind: "waiting", what: "a run waits for an approval" },
  { kind: "missed", what: "a start by schedule did not happen" },
  { kind: "overdue", what: "no success so long after it was due", sample: "2h" },
  { kind: "slow", what: "longer than this, or so many times the median", sample: "30m, x3" },
  { kind: "queued", what: "the first run of a queue waits so long", sample: "10m" },
  { kind: "trigger", what: "an event of a trigger of the DAG can have no run" },
  { kind: "server", what: "a server or worker is gone without an orderly stop", isGeneral: true },
  { kind: "channel", what: "alerts do not reach another channel for 15 minutes", isGeneral: true },
];
/** What a rule can report. @param {boolean} isForOne whether it is for one DAG alone */
export const kindsFor = (isForOne) => KINDS.filter(({ isGeneral }) => !(isForOne && isGeneral));

const INCOMING = "Address of the incoming webhook";
/**
 * What channels of each type are, and their fields: an address that is no secret, what is secret, and who gets it.
 * @type {Record<string, ChannelType>}
 */
export const TYPES = {
  slack: { what: "a message in a chat", secret: INCOMING },
  discord: { what: "a message in a chat", secret: INCOMING },
  teams: { what: "a card in a chat", secret: "Address of the workflow" },
  telegram: { what: "a message of a bot", secret: "Token of the bot", to: "Number of the chat, or @NAME" },
  ntfy: { what: "a message to a phone", url: "https://ntfy.sh/topic", secret: "Token, if the topic needs one",
    mayLack: true },
  mail: { what: "a mail" },
  webhook: { what: "JSON for a program, signed", url: "https://example.org/hook", interval: 0 },
  pagerduty: { what: "an incident, which ends with the alert", secret: "Integration key", interval: 0 },
  ping: { what: "a sign of life while all is well", url: "https://example.org/ping",
    secret: "The address instead, if it is a secret", every: 60, mayLack: true },
};
/** Times between reminders. @type {[seconds: number, word: string][]} */
export const REMINDERS = [
  [0, "never"],
  [3600, "every hour"],
  [14_400, "every 4 hours"],
  [86_400, "every day"],
  [604_800, "every week"],
];
/** @type {Record<string, Look>} */
const KIND_LOOKS = {
  failed: runStatus(RUN.FAILED),
  partial: runStatus(RUN.PARTIALLY_SUCCEEDED),
  aborted: runStatus(RUN.ABORTED),
  succeeded: runStatus(RUN.SUCCEEDED),
  waiting: WAITING,
  missed: { word: "missed", icon: "skip", tone: "bad" },
  overdue: { word: "overdue", icon: "wait", tone: "bad" },
  slow: { word: "slow", icon: "arc", tone: "wait" },
  queued: { word: "queued", icon: "wait", tone: "wait" },
  server: { word: "gone", icon: "cross", tone: "bad" },
  channel: { word: "failing", icon: "cross", tone: "bad" },
  trigger: { word: "dead event", icon: "cross", tone: "bad" },
  limit: { word: "too many", icon: "cross", tone: "bad" },
};
/** @type {Record<Api.AlertReceipt["status"], Look>} */
const RECEIPT_LOOKS = {
  sent: { word: "sent", icon: "check", tone: "good" },
  pending: { word: "pending", icon: "wait", tone: "wait" },
  failed: { word: "failed", icon: "cross", tone: "bad" },
  dropped: { word: "dropped", icon: "dash", tone: "off" },
};

/** @param {string} kind */
export const lookOfKind = (kind) => KIND_LOOKS[kind] ?? { ...runStatus(undefined), word: kind };
/** @param {Api.AlertReceipt} receipt */
export const lookOfReceipt = ({ status }) => RECEIPT_LOOKS[status];

/** @param {Api.AlertChannel} channel @returns {Look} */
export function lookOfChannel({ enabled, state }) {
  if (!enabled) return { word: "disabled", icon: "dash", tone: "off" };
  if (state === "failing") return { word: "failing", icon: "cross", tone: "bad" };
  if (state === "ok") return { word: "ok", icon: "check", tone: "good" };
  return { word: "unused", icon: "circle", tone: "idle" };
}

/** What the receiver answered to the last try, and why no other follows. @param {Api.AlertReceipt} receipt */
export function answerOf({ attempts, reason }) {
  const last = attempts.at(-1);
  const said = last?.text ? `: ${last.text}` : "";
  const answer = last && `${last.code ?? "no answer"} in ${duration(last.ms / 1000)}${said}`;
  return [reason, answer].filter(Boolean).join("; ");
}

/**
 * Who has been told, in a few words: a channel that should have been and has not comes first, one whose message is due
 * later last.
 * @param {Api.AlertReceipt[]} receipts the oldest first
 * @param {Date} [now]
 * @returns {{ text: string, tone: Look["tone"] }}
 */
export function toldText(receipts, now = new Date()) {
  const isLater = (/** @type {Api.AlertReceipt} */ { status, tries, dueAt }) =>
    status === "pending" && !tries && (instant(dueAt) ?? now) > now;
  const begun = receipts.filter(({ purpose }) => purpose !== "closed");
  const channels = Map.groupBy(begun.length ? begun : receipts, ({ channel, mail = "" }) => `${channel} ${mail}`);
  const newest = [...channels.values()].map((all) => all.findLast((one) => one.status !== "dropped" && !isLater(one))
    ?? all.findLast(isLater) ?? all[all.length - 1]);
  const wanted = newest.filter(({ status }) => status !== "dropped");
  const due = (wanted.length ? wanted : newest).filter((one) => !isLater(one));
  const later = wanted.filter(isLater).map((one) => `${nameOf(one)} due ${clockOf(one.dueAt, now)}`);
  const { text, tone } = due.length ? dueText(due, now) : { text: "", tone: /** @type {const} */ ("off") };
  return { text: [text, ...later].filter(Boolean).join("; ") || "no message", tone };
}

/** @param {Api.AlertReceipt[]} due the newest of each channel @param {Date} now */
function dueText(due, now) {
  const sent = due.filter(({ status }) => status === "sent");
  const late = due.find(({ status }) => status === "failed") ?? due.find(({ status }) => status !== "sent");
  if (late) {
    const next = late.nextTryAt ? `, next try ${clockOf(late.nextTryAt, now)}` : "";
    const others = due.length > 1 ? `; ${sent.length} of ${due.length} sent` : "";
    return { text: `${nameOf(late)} ${late.status}${next}${others}`, tone: lookOfReceipt(late).tone };
  }
  const names = [...new Set(sent.map(nameOf))];
  const who = names.length > 2 ? `${names[0]} and ${plural(names.length - 1, "other")}` : names.join(" and ");
  return { text: `${who} at ${clockOf(sent[sent.length - 1].sentAt, now)}`, tone: RECEIPT_LOOKS.sent.tone };
}

/** Who gets a message. @param {Api.AlertReceipt} receipt */
const nameOf = ({ channel, mail }) => (mail ? "a mail" : channel);

/** @type {Record<string, string>} */
const PURPOSES = { opened: "the alert", reminder: "reminder", closed: "its end", test: "test",
  trace: "its trace" };
/** @type {Record<string, string>} */
const MAILS = { failure: "its failure", success: "its success", wait: "an approval", step: "a step" };

/**
 * What a message is about; `steps` are the names of the steps of its run.
 * @param {Api.AlertReceipt} receipt
 * @param {string[]} steps
 */
export function aboutOf({ purpose, mail }, steps) {
  if (!mail) return PURPOSES[purpose] ?? purpose;
  const [kind, position] = mail.split(" ");
  const step = kind === "step" && steps[Number(position)];
  return `mail of the definition: ${step ? `step ${step}` : (MAILS[kind] ?? mail)}`;
}

/** Whether a message is about the end of a run, not of a part of it. @param {Api.AlertReceipt} receipt */
export const isOfEnd = ({ mail, purpose }) =>
  purpose !== "trace" && (!mail || mail === "failure" || mail === "success");

/** Whether a message is a mail about the step at a position. @param {Api.AlertReceipt} receipt @param {number} at */
export const isOfStep = ({ mail }, at) => mail?.startsWith(`step ${at} `) ?? false;

/** @param {string | undefined} at @param {Date} now */
const clockOf = (at, now) => clock(instant(at) ?? now, now);

/**
 * Milliseconds until a message that is pending may have been sent; null if none is.
 * @param {Api.AlertReceipt[]} receipts
 * @param {number} now
 */
export function nextLook(receipts, now) {
  const times = receipts.filter(({ status }) => status === "pending")
    .map(({ nextTryAt, dueAt }) => instant(nextTryAt ?? dueAt)?.getTime() ?? now);
  return times.length ? Math.min(LATEST, Math.max(SOONEST, Math.min(...times) - now + SOONEST)) : null;
}

/** A target of a rule, such as "pager +15m". @param {string} text */
export function targetOf(text) {
  const [channel, delay = ""] = text.split("+").map((part) => part.trim());
  return { channel, delay };
}

/** The channels of a rule in words. @param {string[]} to */
export const targetsText = (to) =>
  to.map(targetOf).map(({ channel, delay }) => (delay ? `${channel} after ${delay}` : channel)).join(", ");

/** What is between commas. @param {string} text */
const partsOf = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

/** The match words of a text: between commas, and between blanks where there is no tag. @param {string} text */
export const wordsOf = (text) =>
  partsOf(text).flatMap((part) => (/^!?tag:/u.test(part) ? [part] : part.split(/\s+/u)));

/** The values that a rule has for a kind, as its field shows them. @param {string[]} on @param {string} kind */
export const valuesFor = (on, kind) =>
  on.filter((word) => word.startsWith(`${kind} `)).map((word) => word.slice(kind.length + 1)).join(", ");

/** How often a reminder comes. @param {number} seconds */
export const reminderText = (seconds) =>
  REMINDERS.find(([known]) => known === seconds)?.[1] ?? `every ${duration(seconds)}`;

/** What a rule says beside DAGs, kinds and channels. @param {Api.AlertRule} rule */
export function limitsOf({ after, remindSeconds, quiet }) {
  const found = [
    after > 1 && `from ${after} in a row on`,
    remindSeconds ? `reminder ${reminderText(remindSeconds)}` : "no reminder",
    quiet && `quiet ${quiet}`,
  ];
  return found.filter(Boolean).join(", ");
}

/**
 * The rule that the fields of its form say.
 * @param {Fields} fields
 */
export function ruleOf(fields) {
  const chosen = (/** @type {string} */ group) =>
    Object.keys(fields).filter((name) => name.startsWith(group)).map((name) => name.slice(group.length));
  const delayOf = (/** @type {string} */ channel) => (fields[`delay ${channel}`] ?? "").trim().replace(/^\+\s*/u, "");
  const valued = KINDS.flatMap(({ kind }) => partsOf(fields[`with ${kind}`] ?? "").map((value) => `${kind} ${value}`));
  return {
    ...(fields.dag ? { dag: fields.dag.trim() } : { match: wordsOf(fields.match ?? "") }),
    on: [...chosen("on "), ...valued],
    to: chosen("to ").map((channel) => (delayOf(channel) ? `${channel} +${delayOf(channel)}` : channel)),
    after: Number(fields.after),
    remindSeconds: Number(fields.remind),
    ...(fields.quiet.trim() && { quiet: fields.quiet.trim() }),
  };
}

/** A stored rule as it is sent back. @param {Api.AlertRule} rule */
export const asRequest = ({ dag, match, on, to, after, remindSeconds, quiet, enabled }) => ({
  ...(dag ? { dag } : { match }),
  on,
  to,
  after,
  remindSeconds,
  ...(quiet && { quiet }),
  enabled,
});

/**
 * The channel that the fields of its form say: what is empty is left out, so that a secret stays as it is.
 * @param {Fields} fields
 */
export function channelOf({ url, secret, to, sender, host, port, username, interval, every, fail, shared }) {
  const server = host?.trim() && { host: host.trim(), port: port.trim(), username: username.trim() };
  return {
    ...(url?.trim() && { url: url.trim() }),
    ...(to && { to: to.split("\n").map((line) => line.trim()).filter(Boolean) }),
    ...(sender !== undefined && { from: sender.trim() }),
    ...(server && { smtp: server }),
    ...(secret && { secret }),
    ...(interval && { intervalSeconds: Number(interval) }),
    ...(every && { everySeconds: Number(every) }),
    ...(every !== undefined && { fail: fail === "on" }),
    shared: shared === "on",
  };
}
