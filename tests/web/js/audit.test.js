import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { KINDS, SENTENCES, changesOf, sentenceOf } from "../../../app/dagbook/web/static/lib/audit.js";

const source = new URL("../../../app/dagbook/auth/audit_context.py", import.meta.url);
const [, listed] = /class Action\(StrEnum\):(.*?)\n\n\nclass /s.exec(readFileSync(source, "utf8"));
const ACTIONS = [...listed.matchAll(/^ {4}[A-Z_]+ = "([a-z_.]+)"/gm)].map(([, action]) => action);
const entry = (fields) => ({ actor: "mara", via: "login", kind: "dag", object: "etl", outcome: "done", ...fields });
const said = (fields) => sentenceOf(entry(fields)).map(({ text }) => text).join("");

test("each action of the server has a sentence, and no other has", () => {
  assert.ok(ACTIONS.length > 50);
  assert.deepEqual(Object.keys(SENTENCES).sort(), [...ACTIONS].sort());
  for (const action of ACTIONS) assert.doesNotMatch(said({ action }), /[{}]|undefined/);
});

test("the kinds to filter by are those of the actions", () => {
  const covers = (kind, action) => (kind.endsWith(".") ? action.startsWith(kind) : action === kind);
  assert.ok(ACTIONS.every((action) => KINDS.some((kind) => covers(kind, action))));
});

test("a save says what it did to the schedule, with a link to the difference of the revisions", () => {
  const save = {
    action: "dag.update",
    before: { revision: 1, hash: "a", schedule: ["0 6 * * *"] },
    after: { revision: 2, hash: "b", schedule: [] },
  };
  assert.equal(said(save), "mara changed etl (revision 1 → 2): schedule 0 6 * * * → none");
  assert.deepEqual(
    sentenceOf(entry(save)).flatMap(({ to, search }) => (to ? [[to, search]] : [])),
    [[["dags", "etl"], undefined], [["dags", "etl", "revisions"], { changes: "2" }]],
  );
  assert.equal(said({ action: "dag.create", after: { revision: 1, hash: "a" } }), "mara created etl");
});

test("values, tokens and steps are named", () => {
  assert.equal(
    said({ action: "user.update", kind: "user", object: "ann", before: { role: "viewer" }, after: { role: "admin" } }),
    "mara changed the user ann: role viewer → admin",
  );
  assert.equal(said({ action: "dag.suspend", tokenName: "ci", after: { suspended: true } }),
    "mara (token ci) suspended the schedule of etl");
  assert.equal(said({ action: "run.retry", kind: "run", object: "etl/r1", after: { step: "load" } }),
    "mara retried etl r1, the step load");
});

test("what was refused says so", () => {
  assert.equal(said({ action: "dag.update", outcome: "refused" }), "mara was refused dag.update: etl");
  assert.equal(said({ action: "run.start", kind: "run", object: "etl/r1", outcome: "refused", after: { code: "max" } }),
    "mara was refused (max) run.start: etl r1");
  assert.equal(said({ action: "login.failure", kind: "user", outcome: "failed", actor: undefined }),
    "A login as etl failed");
});

test("a change has the values that differ, and no hashes", () => {
  assert.deepEqual(changesOf({ before: { role: "viewer", hash: "1" }, after: { role: "viewer", scope: "all" } }),
    [["scope", "none", "all"]]);
});
