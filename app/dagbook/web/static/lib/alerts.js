// Alerts in words: what was sent to whom, and what rules say. Pure.

import { clock, duration, instant, plural } from "./format.js";
import { RUN, WAITING, runStatus } from "./status.js";

/** @import { Look } from "../../types/ui" */

const [SOONEST, LATEST] = [2000, 3_600_000]; // milliseconds until messages are looked at again

/** What a rule can report. @type {[kind: string, what: string][]} */
export const KINDS = [
  ["failed", "after all retries of its steps"],
  ["partial", "a run partly succeeded"],
  ["aborted", "a user stopped a run"],
  ["succeeded", "each success"],
  ["waiting", "a run waits for an approval"],
];
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
  const channels = Map.groupBy(begun.length ? begun : receipts, ({ channel }) => channel);
  const newest = [...channels.values()].map((all) => all.findLast((one) => one.status !== "dropped" && !isLater(one))
    ?? all.findLast(isLater) ?? all[all.length - 1]);
  const wanted = newest.filter(({ status }) => status !== "dropped");
  const due = (wanted.length ? wanted : newest).filter((one) => !isLater(one));
  const later = wanted.filter(isLater).map(({ channel, dueAt }) => `${channel} due ${clockOf(dueAt, now)}`);
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
    return { text: `${late.channel} ${late.status}${next}${others}`, tone: lookOfReceipt(late).tone };
  }
  const names = sent.map(({ channel }) => channel);
  const who = names.length > 2 ? `${names[0]} and ${plural(names.length - 1, "other")}` : names.join(" and ");
  return { text: `${who} at ${clockOf(sent[sent.length - 1].sentAt, now)}`, tone: RECEIPT_LOOKS.sent.tone };
}

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

/** The match words of a text: between commas, and between blanks where there is no tag. @param {string} text */
export const wordsOf = (text) => text.split(",").map((part) => part.trim()).filter(Boolean)
  .flatMap((part) => (/^!?tag:/u.test(part) ? [part] : part.split(/\s+/u)));

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
  return {
    ...(fields.dag ? { dag: fields.dag.trim() } : { match: wordsOf(fields.match ?? "") }),
    on: chosen("on "),
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
 * @param {string} type
 */
export function channelOf({ url, secret, to, sender, host, port, username, interval, shared }, type) {
  const server = host?.trim() && { host: host.trim(), port: port.trim(), username: username.trim() };
  return {
    ...(type === "webhook" && { url: url.trim() }),
    ...(type === "mail" && { to: to.split("\n").map((line) => line.trim()).filter(Boolean), from: sender.trim() }),
    ...(server && { smtp: server }),
    ...(secret && { secret }),
    ...(interval && { intervalSeconds: Number(interval) }),
    shared: shared === "on",
  };
}
