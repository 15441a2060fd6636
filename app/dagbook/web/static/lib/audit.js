// Entries of the audit log as sentences. Pure.

import { short } from "./format.js";

/** @typedef {{ text: string, to?: string[], search?: Record<string, string | number>, code?: boolean }} Part */

/**
 * What each action says after the name of who did it; a sentence with a capital letter does not say who.
 * {object} is the object with a link, {changes} what differs between before and after, and {after.NAME} a value.
 * @type {Record<string, string>}
 */
export const SENTENCES = {
  "dag.create": "created {object}",
  "dag.update": "changed {object}{revisions}{schedule}",
  "dag.restore": "restored revision {after.restores} of {object}{revisions}{schedule}",
  "dag.redact": "removed the text of revision {after.revision} of {object} permanently",
  "dag.rename": "renamed {before.fileName} to {after.fileName}",
  "dag.suspend": "{suspension} the schedule of {object}",
  "dag.settings": "changed the settings of {object}: {changes}",
  "dag.run_as": "changed the account of {object}: {changes}",
  "dag.retention": "changed the retention of {object}: {changes}",
  "dag.delete": "deleted {object}",
  "source.create": "added the source {object}",
  "source.update": "changed the source {object}: {changes}",
  "source.delete": "removed the source {object}",
  "source.sync": "requested a sync of the source {object}",
  "source.fetch": "requested a fetch of the source {object}",
  "run.start": "started {object}",
  "run.enqueue": "enqueued {object}",
  "run.dequeue": "removed {object} from the queue {before.queue}",
  "run.stop": "requested {object} to stop",
  "run.retry": "retried {object}{step}",
  "run.reschedule": "started {object} with the definition and parameters of an earlier run",
  "run.step_status": "set the step {after.step} of {object}: {before.status} → {after.status}",
  "run.approve": "approved the step {after.step} of {object}",
  "run.reject": "rejected the step {after.step} of {object}",
  "run.delete": "deleted {object}",
  "run.cleanup": "requested a clean-up of runs: {object}",
  "queue.pause": "paused the queue {object}",
  "queue.resume": "resumed the queue {object}",
  "pause.set": "paused everything: {after.reason}",
  "pause.end": "ended the pause of everything",
  "queue.move": "moved entry {after.item} of the queue {object}",
  "user.create": "created the user {object} as {after.role}",
  "user.update": "changed the user {object}: {changes}",
  "user.delete": "deleted the user {object}",
  "user.password_change": "changed the password of {object}",
  "user.password_reset": "reset the password of {object}",
  "group.create": "created the group {object}",
  "group.update": "changed the group {object}: {changes}",
  "group.delete": "deleted the group {object}",
  "group.join": "added {after.user} to the group {object}",
  "group.leave": "removed {before.user} from the group {object}",
  "grant.create": "granted the role {after.role} to {object}",
  "grant.update": "changed the grant of {object}: {changes}",
  "grant.delete": "removed the role {before.role} of {object}",
  "session.end": "ended a session of {object}",
  "token.create": "created the token {object}",
  "token.delete": "revoked the token {object}",
  "token.refuse": "A token of {object} was refused: {after.reason}",
  "secret.rekey": "requested the encryption of stored secrets with another key",
  "secret.read": "read {after.count} secrets in {object}",
  "login.success": "logged in",
  "login.failure": "A login as {object} failed",
  logout: "logged out",
  "alert_channel.create": "added the alert channel {object}",
  "alert_channel.update": "changed the alert channel {object}: {changes}",
  "alert_channel.delete": "removed the alert channel {object}",
  "alert_rule.create": "added the alert rule {object}",
  "alert_rule.update": "changed the alert rule {object}: {changes}",
  "alert_rule.delete": "removed the alert rule {object}",
  "alert.acknowledge": "acknowledged the alert about {object}",
  "alert.resend": "sent a message about {object} again",
  "alert.test": "tested the alerts of {object}",
  "trigger.create": "added the trigger {object}",
  "trigger.update": "changed the trigger {object}: {changes}",
  "trigger.delete": "removed the trigger {object}",
  "trigger.pause": "paused the trigger {object}",
  "trigger.resume": "resumed the trigger {object}",
  "trigger.secret": "changed the secret of the trigger {object}",
  "trigger.replay": "replayed an event of the trigger {object}",
  "trigger.discard": "discarded an event of the trigger {object}",
  "batch.create": "created the batch {object}",
  "batch.pause": "paused the batch {object}",
  "batch.resume": "resumed the batch {object}",
  "batch.cancel": "cancelled the batch {object}",
  "batch.retry": "planned the failed items of the batch {object} again",
  "audit.prune": "pruned {after.entries} entries of the audit log",
  "database.restore": "restored the database from {object}",
  "database.resume": "resumed the database: {after.failedRuns} runs failed, {after.queuedRuns} are queued",
  "import.start": "started the import of {object}",
  "import.finish": "finished the import of {object}",
  "request.refuse": "A request was refused: {object}",
};

/** Kinds of actions, as the API filters by them: the prefixes of actions, and the one action without. */
export const KINDS = [...new Set(Object.keys(SENTENCES).map((action) => action.replace(/\..*/, ".")))];
const UNSAID = new Set(["hash", "updatedAt", "updated_at"]); // of changes

/** Who did it: the name, and the token that was used. @param {Api.AuditEntry} entry */
export const whoDid = ({ actor, tokenName, via }) =>
  `${actor ?? (via === "none" ? "unknown" : via)}${tokenName ? ` (token ${tokenName})` : ""}`;

/** The sentence of an entry in parts, of which some are links. @param {Api.AuditEntry} entry @returns {Part[]} */
export function sentenceOf(entry) {
  const template = SENTENCES[entry.action];
  const unsaid = /^[A-Z]/.test(template ?? "");
  if (template === undefined || (entry.outcome !== "done" && !unsaid)) {
    const word = entry.outcome === "done" ? " did " : ` was refused${codeOf(entry)} `;
    return [{ text: whoDid(entry) + word }, { text: entry.action, code: true }, { text: ": " }, objectOf(entry)];
  }
  const parts = template.split(/(\{[^}]+\})/).filter(Boolean);
  return [...(unsaid ? [] : [{ text: `${whoDid(entry)} ` }]), ...parts.flatMap((part) => filled(part, entry))];
}

/** @param {Api.AuditEntry} entry */
const codeOf = ({ after }) => (after?.code ? ` (${after.code})` : "");

/** @param {string} part @param {Api.AuditEntry} entry @returns {Part | Part[]} */
function filled(part, entry) {
  if (!part.startsWith("{")) return { text: part };
  const { before = {}, after = {}, object } = entry;
  const name = part.slice(1, -1);
  switch (name) {
    case "object":
      return objectOf(entry);
    case "changes":
      return { text: changesOf(entry).map(([field, was, is]) => `${field} ${was} → ${is}`).join(", ") || "nothing" };
    case "revisions":
      if (!after.revision || !before.revision) return [];
      return [{ text: " (" }, {
        text: `revision ${before.revision} → ${after.revision}`,
        to: ["dags", object, "revisions"],
        search: { changes: String(after.revision) },
      }, { text: ")" }];
    case "schedule":
      return after.schedule ? { text: `: schedule ${shown(before.schedule)} → ${shown(after.schedule)}` } : [];
    case "suspension":
      return { text: after.suspended ? "suspended" : "resumed" };
    case "step":
      return after.step ? { text: `, the step ${after.step}` } : [];
    default: {
      const [side, field] = name.split(".");
      return { text: shown((side === "before" ? before : after)[field]) };
    }
  }
}

/** The object of an entry, with a link to its page, which may be gone. @param {Api.AuditEntry} entry @returns {Part} */
function objectOf({ action, kind, object, outcome }) {
  const [first, second, ...below] = object.split("/");
  if (kind === "run" && second) {
    return { text: `${first} ${short(below[0] ?? second)}`, to: ["dag-runs", ...object.split("/").slice(0, 3)] };
  }
  if (kind === "session") return { text: first };
  if (kind === "dag" && outcome === "done" && action !== "dag.delete") return { text: object, to: ["dags", object] };
  const page = kind === "source" ? "sources" : kind === "trigger" && action !== "trigger.delete" ? "triggers" : "";
  return page ? { text: object, to: [page, object] } : { text: object };
}

/** What differs before and after. @param {Api.AuditEntry} entry @returns {[name: string, was: string, is: string][]} */
export function changesOf({ before = {}, after = {} }) {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].filter((name) => !UNSAID.has(name));
  return names
    .map((name) => /** @type {[string, string, string]} */ ([name, shown(before[name]), shown(after[name])]))
    .filter(([, was, is]) => was !== is);
}

/** @param {unknown} value @returns {string} */
function shown(value) {
  if (value === undefined || value === null || value === "") return "none";
  if (Array.isArray(value)) return value.length ? value.map(shown).join(", ") : "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
