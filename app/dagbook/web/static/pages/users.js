// User management.

import { html, useState } from "../vendor/core.js";
import { patch, post, remove } from "../lib/api.js";
import { matching } from "../lib/filter-text.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href } from "../lib/router.js";
import { hasUsers, may, user as me } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { ActionButton, Empty, Loading, NoUsers, Table, Time, whenLoaded } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Choices, Confirm, FormDialog, NewPassword } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { attempt } from "../parts/notice.js";
import { SessionList } from "../parts/sessionlist.js";

/** @typedef {{ kind: "new" } | { kind: "edit" | "reset" | "disable" | "remove", one: Api.User }} Asked */

/** @type {[name: Api.Role, what: string][]} */
const ROLES = [
  ["viewer", "sees everything, changes nothing"],
  ["operator", "starts, stops and retries runs"],
  ["manager", "also changes definitions"],
  ["admin", "also manages users"],
];
/** @type {[name: Api.UserScope, what: string][]} */
const SCOPES = [["all", "every DAG, with this role"], ["granted", "only DAGs that are granted on the page Access"]];

/** @type {import("../../types/ui").FilterKeys} */
const KEYS = {
  "": { param: "name", hint: "part of a name" },
  role: { param: "role", hint: "viewer", values: ROLES.map(([role]) => [role, role]), pick: "Role", any: "any role" },
};

export default function Users() {
  useTitle("Users");
  const filter = useFilter(KEYS);
  const list = useApi(hasUsers && may("admin") ? "users" : null);
  const grants = useApi(hasUsers && may("admin") ? "grants" : null);
  const sessions = useApi(hasUsers && may("admin") ? "sessions" : null, { all: true });
  const isReady = useReady(list, grants, sessions);
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  if (!hasUsers) return html`<${NoUsers} title="Users" />`;
  if (!may("admin")) return html`<h1>Users</h1><${Empty} title="Only admins can see users">
    <p><a href=${href("/account")}>Open your account</a></p><//>`;
  const close = () => setAsked(null);
  const own = (/** @type {Api.User} */ { id }) => id === me.value?.id && "It is your own account";
  const enable = (/** @type {Api.User} */ { id, username }) =>
    attempt(() => patch(["users", id], { disabled: false }).then(list.reload), `${username} enabled.`);
  return html`<div class="row"><h1>Users</h1><span class="grow"></span>
    <${ActionButton} right="admin" class="primary" onClick=${() => setAsked({ kind: "new" })}>Add user<//></div>
    <${FilterBox} label="Filter users" filter=${filter} />
    ${!isReady ? html`<${Loading} what="users" />`
      : whenLoaded(list, "users", ({ users }) => html`<${Table} class="list"
        heads=${["Name", "Role", "DAGs", "Added", "-Actions"]}>
      ${matching(users, filter.params, textsOf).map((one) => html`<tr key=${one.id}>
        <td class="wide-text">${one.username}${one.id === me.value?.id && html` <span class="tag">you</span>`}
          ${one.disabled && html` <span class="tag">disabled</span>`}
          ${one.issuer && html`<div class="faint">logs in at ${new URL(one.issuer).host}</div>`}</td>
        <td>${one.scope !== "granted" && one.role}</td>
        <td class="wide-text" data-label="DAGs">${one.scope === "granted" ? html`<a
          href=${href("/access", { user: one.id })}>${grantsOf(one, grants.data?.grants ?? [])}</a>` : "all"}</td>
        <td data-label="added"><${Time} at=${one.createdAt} /></td>
        <td class="actions"><${Menu} label=${`Actions of ${one.username}`} items=${[
            { title: "Edit…", onChoose: () => setAsked({ kind: "edit", one }) },
            { title: "Reset password…", onChoose: () => setAsked({ kind: "reset", one }) },
            one.disabled
              ? { title: "Enable", onChoose: () => enable(one) }
              : { title: "Disable…", onChoose: () => setAsked({ kind: "disable", one }), disabled: own(one) },
            { title: "Remove…", onChoose: () => setAsked({ kind: "remove", one }), danger: true },
          ]} /></td>
      </tr>`)}<//>
      ${!matching(users, filter.params, textsOf).length && html`<${NoMatch} filter=${filter} what="user" />`}
      <${SessionList} list=${sessions} all />`)}
    ${asked?.kind === "new" && html`<${FormDialog} title="Add a user" action="Add" onClose=${close}
      onSave=${(/** @type {Fields} */ { username, newPassword, ...fields }) =>
        post("users", { username, ...rightsIn(fields), password: newPassword }).then(list.reload)}>
      <label>Name<input name="username" autocomplete="off" required maxlength="64" /></label><${RoleAndScope} />
    <${NewPassword} label="Password" /><//>`}
    ${asked?.kind === "edit" && html`<${FormDialog} title=${`Edit ${asked.one.username}`} action="Save" onClose=${close}
      onSave=${(/** @type {Fields} */ { username, ...fields }) =>
        patch(["users", asked.one.id], { username, ...rightsIn(fields) }).then(list.reload)}>
      <label>Name<input name="username" value=${asked.one.username} required maxlength="64" /></label>
    <${RoleAndScope} of=${asked.one} /><//>`}
    ${asked?.kind === "reset" && html`<${FormDialog} title=${`Reset the password of ${asked.one.username}`}
      action="Reset" onClose=${close}
      onSave=${(/** @type {Fields} */ { newPassword }) =>
        post(["users", asked.one.id, "reset-password"], { newPassword })}>
      <p>This ends all their sessions and tokens.</p><${NewPassword} /><//>`}
    ${asked?.kind === "disable" && html`<${Confirm} title=${`Disable ${asked.one.username}?`} action="Disable"
      onClose=${close} onConfirm=${() => patch(["users", asked.one.id], { disabled: true }).then(list.reload)}>
      <p>They are logged out at once, and their tokens are refused until you enable them again.</p><//>`}
    ${asked?.kind === "remove" && html`<${Confirm} title=${`Remove ${asked.one.username}?`} action="Remove user"
      onClose=${close} onConfirm=${() => remove(["users", asked.one.id]).then(list.reload)}>
      <p>They are logged out at once, and their tokens stop working. Their audit entries are kept.</p><//>`}`;
}

/** @param {Fields} fields of a form */
const rightsIn = ({ role, scope }) =>
  ({ role: /** @type {Api.Role} */ (role), scope: /** @type {Api.UserScope} */ (scope) });

/** @param {Api.User} user */
const textsOf = ({ username, role, scope }) => ({ name: username, role: scope === "granted" ? "" : role });

/** What a user is granted, without what groups are. @param {Api.User} user @param {Api.Grant[]} grants */
function grantsOf({ id }, grants) {
  const own = grants.filter((grant) => grant.userId === id);
  const texts = own.map(({ role, pattern, tag }) => `${role} of ${pattern ?? `tag ${tag}`}`);
  return texts.length ? texts.join(", ") : "none, or those of groups";
}

/** @param {{ of?: Api.User }} props */
function RoleAndScope({ of }) {
  return html`<${Choices} legend="Role" name="role" options=${ROLES} chosen=${of?.role} />
    <${Choices} legend="DAGs" name="scope" options=${SCOPES} chosen=${of?.scope} />`;
}
