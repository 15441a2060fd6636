// Triggers in words: their states, those of events, and what the fields of the form say. Pure.

import { plural } from "./format.js";

/** @import { Look } from "../../types/ui" */

/** How senders of webhooks show who they are, with what does so. @type {[scheme: string, what: string][]} */
export const SCHEMES = [
  ["token", "a token in a header: scripts, AWS EventBridge, MinIO"],
  ["standard", "Standard Webhooks, Svix"],
  ["github", "GitHub, Gitea, Forgejo"],
  ["gitlab", "GitLab"],
  ["stripe", "Stripe"],
  ["hmac", "an HMAC-SHA256 in a header that you name: Shopify, Slack, Linear, Bitbucket"],
];
/** @type {Record<Api.TriggerEvent["state"], Look>} */
const EVENT_LOOKS = {
  waiting: { word: "waiting", icon: "wait", tone: "wait" },
  filtered: { word: "filtered", icon: "skip", tone: "off" },
  started: { word: "started", icon: "check", tone: "good" },
  superseded: { word: "superseded", icon: "skip", tone: "off" },
  dead: { word: "dead", icon: "cross", tone: "bad" },
  discarded: { word: "discarded", icon: "dash", tone: "off" },
  replayed: { word: "replayed", icon: "retry", tone: "off" },
};
export const EVENT_STATES = Object.keys(EVENT_LOOKS);

const LIMITS = ["perMinute", "maxBytes", "maxWaiting"];

/** @param {Api.TriggerEvent} event */
export const lookOfEvent = ({ state }) => EVENT_LOOKS[state];

/** @param {Api.Trigger} trigger @returns {Look} */
export function lookOfTrigger({ dag, problem, pausedAt, waitsFor, everySeconds, lookedAt }) {
  if (!dag) return { word: "DAG deleted", icon: "cross", tone: "bad" };
  if (pausedAt) return { word: "paused", icon: "wait", tone: "wait" };
  if (problem) return { word: "problem", icon: "cross", tone: "bad" };
  if (waitsFor) return { word: "waiting", icon: "wait", tone: "wait" };
  if (everySeconds && !lookedAt) return { word: "not looked yet", icon: "circle", tone: "idle" };
  return { word: "ready", icon: "check", tone: "good" };
}

/** Why a trigger is in its state, and how often it has looked. @param {Api.Trigger} trigger */
export function reasonOfTrigger({ dag, problem, pausedAt, pausedBy, waitsFor, everySeconds, lookedAt, looks, host }) {
  if (!dag) return waitsFor ?? "its events are dead";
  if (pausedAt) return pausedBy ? `by ${pausedBy}` : "";
  if (problem || waitsFor) return problem ?? waitsFor ?? "";
  if (everySeconds && !lookedAt) return host ? `waits for a look on ${host}` : "";
  return everySeconds ? `nothing new after ${plural(looks, "look")}` : "";
}

/** @param {Api.Trigger} trigger */
export const kindOf = ({ kind, scheme }) => (scheme ? `${kind}: ${scheme}` : kind);

/** The lines of a text that are not empty. @param {string} text */
const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** A mapping of params as its field shows it. @param {Record<string, string>} params */
export const paramLines = (params) => Object.entries(params).map(([name, pointer]) => `${name}=${pointer}`);

/** @param {string} text @returns {Record<string, string>} */
function paramsOf(text) {
  return Object.fromEntries(linesOf(text).map((line) => {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`"${line}" is no param; write NAME=json:/a/b or NAME=header:X`);
    return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
  }));
}

/** A sample of an event, with headers as they are written in requests. @param {Fields} fields */
export function sampleOf({ body, headers }) {
  const pairs = linesOf(headers).map((line) => {
    const [name, ...rest] = line.split(":");
    if (!rest.length) throw new Error(`"${line}" is no header; write Name: value`);
    return [name.trim(), rest.join(":").trim()];
  });
  return { body, headers: Object.fromEntries(pairs) };
}

/**
 * What the fields of the form say of a trigger. Settings are those of a scheme, and replace all that there were.
 * @param {Fields} fields
 */
export function triggerOf(fields) {
  const { dag, filters, params, collapse } = fields;
  const text = (/** @type {string} */ name) => (fields[name] ?? "").trim();
  const settings = {
    ...(text("key") && { key: text("key") }),
    ...(fields.header !== undefined && {
      header: text("header"),
      prefix: text("prefix"),
      encoding: /** @type {"hex" | "base64"} */ (fields.encoding),
      timeHeader: text("timeHeader"),
      signed: text("signed"),
      repeats: fields.repeats === "on",
    }),
  };
  return {
    dag: dag.trim(),
    ...(fields.key !== undefined && { settings }),
    params: paramsOf(params),
    filters: linesOf(filters),
    queue: text("queue"),
    priority: Number(text("priority")),
    ...Object.fromEntries(LIMITS.filter(text).map((name) => [name, Number(text(name))])),
    collapse: collapse === "on",
  };
}

/**
 * The options that differ from those of a trigger: who has rights for single DAGs may not name a queue, even as it is.
 * @param {Api.Trigger} trigger
 * @param {ReturnType<typeof triggerOf>} options
 * @returns {Api.ChangeTrigger}
 */
export const changesOf = (trigger, options) => Object.fromEntries(Object.entries(options).filter(([name, value]) =>
  JSON.stringify(value) !== JSON.stringify(/** @type {Record<string, unknown>} */ ({ queue: "", ...trigger })[name])));
