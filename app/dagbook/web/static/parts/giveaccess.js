// Dialog that gives a user or group a role for DAGs: one who is known, or a new user.

import { html, useRef, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { plural } from "../lib/format.js";
import { longestText, matches } from "../lib/patterns.js";
import { useApi } from "../lib/use-api.js";
import { Choices, FormDialog, NewPassword } from "./form.js";

/** @type {[name: Api.Role, what: string][]} */
const ROLES = [
  ["viewer", "sees the DAG, its runs and their output"],
  ["operator", "also starts, stops and retries its runs"],
  ["manager", "also changes its definition"],
];
const NEW = "new";
const LOOKED_AT = 100; // DAGs whose names are compared with a pattern
const NAMED = 5;
const TYPING = 250; // milliseconds without a key press before the preview

/**
 * `dag` is the name of the DAG that the grant is for; without it the user chooses by name or tag.
 * @param {{ dag?: string, onClose: () => void, onDone: () => unknown }} props
 */
export function GiveAccess({ dag, onClose, onDone }) {
  const users = useApi("users");
  const groups = useApi("groups");
  const [subject, setSubject] = useState("");
  const save = async (/** @type {Fields} */ { role, kind, dags = "", username, newPassword }) => {
    let [of, id] = subject.split(":");
    if (of === NEW) {
      const made = await post("users", { username, password: newPassword, role: "viewer", scope: "granted" });
      [of, id] = ["user", made.user.id];
      setSubject(`user:${id}`); // what fails now is tried again with this user
      await users.reload();
    }
    await post("grants", {
      role: /** @type {Api.Role} */ (role),
      ...(of === "user" ? { userId: id } : { groupId: id }),
      ...(kind === "tag" ? { tag: dags } : { pattern: dag ?? dags }),
    });
    await onDone();
  };
  return html`<${FormDialog} title=${dag ? `Give access to ${dag}` : "Give access"} action="Give access"
    onClose=${onClose} onSave=${save}>
    <label>User or group<select name="subject" required value=${subject}
      onChange=${(/** @type {SelectChange} */ event) => setSubject(event.currentTarget.value)}>
      <option value="">Choose</option><option value=${NEW}>a new user</option>
      <optgroup label="Users">${users.data?.users.map(({ id, username, scope }) => html`<option key=${id}
        value=${`user:${id}`}>${username}${scope === "granted" ? "" : " (sees all DAGs)"}</option>`)}</optgroup>
      <optgroup label="Groups">${groups.data?.groups.map(({ id, name, members }) => html`<option key=${id}
        value=${`group:${id}`}>group ${name} (${plural(members, "member")})</option>`)}</optgroup></select></label>
    ${subject === NEW && html`<label>Name of the user
      <input name="username" autocomplete="off" required maxlength="64" /></label><${NewPassword} label="Password" />`}
    <${RoleChoice} />
    ${!dag && html`<${DagChoice} />`}<//>`;
}

function DagChoice() {
  const [kind, setKind] = useState("pattern");
  const [text, setText] = useState("");
  const timer = useRef(0);
  const choose = (/** @type {InputChange} */ event) => setKind(event.target.value);
  const type = (/** @type {InputChange} */ event) => {
    const typed = event.target.value.trim();
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setText(typed), TYPING);
  };
  return html`<fieldset><legend>Choose DAGs by</legend>
      <label class="inline"><input type="radio" name="kind" value="pattern" checked=${kind === "pattern"}
        onChange=${choose} />name<span class="faint">* is any text, ? one character</span></label><br />
      <label class="inline"><input type="radio" name="kind" value="tag" checked=${kind === "tag"} onChange=${choose} />
        tag</label></fieldset>
    <label>Name or tag<input name="dags" required maxlength="64" placeholder="etl-*" autocomplete="off"
      onInput=${type} /></label>
    <p class="faint matching" role="status">${text && html`<${Preview} kind=${kind} text=${text} />`}</p>`;
}

/** Which stored DAGs a pattern or tag matches now. @param {{ kind: string, text: string }} props */
function Preview({ kind, text }) {
  const part = kind === "tag" ? { tag: text } : { name: longestText(text) };
  const { data } = useApi("dags", { ...part, perPage: LOOKED_AT });
  if (!data) return "…";
  const names = data.dags.map(({ dag }) => dag.name).filter((name) => kind === "tag" || matches(text, name));
  if (!names.length) return "No DAG matches now. DAGs that are created later may.";
  const more = data.pagination.totalRecords > LOOKED_AT ? "at least " : "";
  const others = names.length > NAMED ? ` and ${names.length - NAMED} more` : "";
  return `Matches ${more}${plural(names.length, "DAG")}: ${names.slice(0, NAMED).join(", ")}${others}`;
}

/** @param {{ chosen?: Api.Role }} props */
export const RoleChoice = ({ chosen }) => html`<${Choices} legend="Role" name="role" options=${ROLES}
  chosen=${chosen} />`;
