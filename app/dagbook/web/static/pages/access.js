// Rights per DAG: groups, grants, and what a user would see.

import { html, useState } from "../vendor/core.js";
import { patch, post, put, remove } from "../lib/api.js";
import { useApi, useReady } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { hasUsers, may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty, Loading, NoUsers, Select, Table, whenLoaded, Time } from "../parts/basic.js";
import { Confirm, FormDialog } from "../parts/form.js";
import { GiveAccess, RoleChoice } from "../parts/giveaccess.js";
import { Menu } from "../parts/menu.js";
import { attempt } from "../parts/notice.js";

/** @typedef {{ kind: "new" } | { kind: "edit" | "remove" | "members", group: Api.Group }} AskedOfGroup */
/** @typedef {{ kind: "new" } | { kind: "role" | "remove", grant: Api.Grant }} AskedOfGrant */

export default function Access() {
  useTitle("Access");
  const allowed = hasUsers && may("admin");
  const users = useApi(allowed ? "users" : null);
  const groups = useApi(allowed ? "groups" : null);
  const grants = useApi(allowed ? "grants" : null);
  const isReady = useReady(users, groups, grants);
  if (!hasUsers) return html`<${NoUsers} title="Access" />`;
  if (!allowed) return html`<h1>Access</h1><${Empty} title="Only admins can manage access" />`;
  const reload = () => Promise.all([groups.reload(), grants.reload()]);
  return html`<h1>Access</h1>
    <p class="faint">A user limited to granted DAGs sees those that are granted here, to the user or to a group.
      Grants do not isolate users who may run commands on this server, unless commands run under another account
      (<code>run_as</code>).</p>
    ${!isReady ? html`<${Loading} what="grants and groups" />` : whenLoaded(users, "users", (known) => html`
      ${whenLoaded(groups, "groups", (found) => html`
        <${Grants} grants=${grants} reload=${() => Promise.all([users.reload(), reload()])} />
        <${Groups} groups=${found.groups} users=${known.users} reload=${reload} />`)}
      <${TryAs} users=${known.users} />`)}`;
}

/** @param {Api.Grant} grant */
const dagsOf = (grant) => (grant.pattern ? html`<code>${grant.pattern}</code>` : html`tag <code>${grant.tag}</code>`);

/** @param {Api.Grant} grant */
const nameOf = (grant) => grant.username ?? `group ${grant.groupName}`;

/** @param {{ grants: import("../lib/use-api.js").Loading<Api.Grants>, reload: () => Promise<unknown> }} props */
function Grants({ grants, reload }) {
  const [asked, setAsked] = useState(/** @type {AskedOfGrant | null} */ (null));
  const close = () => setAsked(null);
  return html`<div class="row"><h2>Grants</h2><span class="grow"></span>
    <button type="button" class="primary" onClick=${() => setAsked({ kind: "new" })}>Give access</button></div>
    ${whenLoaded(grants, "grants", (found) =>
      found.grants.length
        ? html`<${Table} heads=${["User or group", "Role", "DAGs", "Since", "-Actions"]}>
          ${found.grants.map((grant) => html`<tr key=${grant.id}>
            <td class="wide-text">${grant.username ?? html`<span class="tag">group</span> ${grant.groupName}`}</td>
            <td data-label="role">${grant.role}</td>
            <td class="wide-text" data-label="DAGs">${dagsOf(grant)}</td>
            <td data-label="since"><${Time} at=${grant.createdAt} /></td>
            <td class="actions"><${Menu} label=${`Actions of the grant of ${nameOf(grant)}`} items=${[
              { title: "Change the role…", onChoose: () => setAsked({ kind: "role", grant }) },
              { title: "Remove…", onChoose: () => setAsked({ kind: "remove", grant }), danger: true },
            ]} /></td></tr>`)}<//>`
        : html`<${Empty} title="No grants yet">
          <p>A grant gives a user or a group a role for DAGs by name or tag.</p><//>`)}
    ${asked?.kind === "new" && html`<${GiveAccess} onClose=${close} onDone=${reload} />`}
    ${asked?.kind === "role" && html`<${FormDialog} title=${`Change the role of ${nameOf(asked.grant)}`} action="Save"
      onClose=${close} onSave=${(/** @type {Fields} */ { role }) =>
        patch(["grants", asked.grant.id], { role: /** @type {Api.Role} */ (role) }).then(grants.reload)}>
      <${RoleChoice} chosen=${asked.grant.role} /><//>`}
    ${asked?.kind === "remove" && html`<${Confirm} title=${`Remove the grant of ${nameOf(asked.grant)}?`}
      action="Remove" onClose=${close} onConfirm=${() => remove(["grants", asked.grant.id]).then(grants.reload)}>
      <p>Access to ${dagsOf(asked.grant)} ends, unless another grant covers it.</p><//>`}`;
}

/** @param {{ groups: Api.Group[], users: Api.User[], reload: () => Promise<unknown> }} props */
function Groups({ groups, users, reload }) {
  const [asked, setAsked] = useState(/** @type {AskedOfGroup | null} */ (null));
  const close = () => setAsked(null);
  return html`<div class="row"><h2>Groups</h2><span class="grow"></span>
    <button type="button" onClick=${() => setAsked({ kind: "new" })}>Add group</button></div>
    ${groups.length
      ? html`<${Table} heads=${["Name", "Claim", "Members", "-Actions"]}>
        ${groups.map((group) => html`<tr key=${group.id}>
          <td class="wide-text">${group.name}</td>
          <td data-label="claim">${group.claim && html`<code>${group.claim}</code>`}</td>
          <td data-label="members">${group.members}</td>
          <td class="actions"><${Menu} label=${`Actions of ${group.name}`} items=${[
            { title: "Members…", onChoose: () => setAsked({ kind: "members", group }) },
            { title: "Edit…", onChoose: () => setAsked({ kind: "edit", group }) },
            { title: "Remove…", onChoose: () => setAsked({ kind: "remove", group }), danger: true },
          ]} /></td></tr>`)}<//>`
      : html`<${Empty} title="No groups yet"><p>A group gives its grants to all its members.</p><//>`}
    ${asked?.kind === "new" && html`<${GroupForm} onClose=${close} reload=${reload} />`}
    ${asked?.kind === "edit" && html`<${GroupForm} group=${asked.group} onClose=${close} reload=${reload} />`}
    ${asked?.kind === "remove" && html`<${Confirm} title=${`Remove the group ${asked.group.name}?`} action="Remove"
      onClose=${close} onConfirm=${() => remove(["groups", asked.group.id]).then(reload)}>
      <p>This removes its grants too. Its members are kept.</p><//>`}
    ${asked?.kind === "members" && html`<${Members} group=${asked.group} users=${users} onClose=${close}
      onChange=${reload} />`}`;
}

/** @param {{ group?: Api.Group, onClose: () => void, reload: () => Promise<unknown> }} props */
function GroupForm({ group, onClose, reload }) {
  const save = (/** @type {Fields} */ { name, claim }) =>
    (group ? put(["groups", group.id], { name, claim }) : post("groups", { name, claim })).then(reload);
  return html`<${FormDialog} title=${group ? `Edit ${group.name}` : "Add a group"} action=${group ? "Save" : "Add"}
    onClose=${onClose} onSave=${save}>
    <label>Name<input name="name" value=${group?.name ?? ""} required maxlength="64" autocomplete="off" /></label>
    <label>Claim of the provider<input name="claim" value=${group?.claim ?? ""} placeholder="groups=ops"
      autocomplete="off" /></label>
    <p class="faint">Users whose last login at the provider had this claim are members.</p><//>`;
}

/** @param {{ group: Api.Group, users: Api.User[], onClose: () => void, onChange: () => Promise<unknown> }} props */
function Members({ group, users, onClose, onChange }) {
  const loaded = useApi(["groups", group.id]);
  const change = (/** @type {() => Promise<unknown>} */ work) =>
    attempt(() => work().then(() => Promise.all([loaded.reload(), onChange()])));
  const add = (/** @type {Fields} */ { user }) =>
    change(() => put(["groups", group.id, "members", user], {})).then(() => false);
  const others = users.filter(({ id }) => !loaded.data?.members.some((member) => member.userId === id));
  return html`<${FormDialog} title=${`Members of ${group.name}`} action="Add" onClose=${onClose} onSave=${add}>
    ${whenLoaded(loaded, "members", ({ members }) => html`<ul>${members.map((member) => html`<li key=${member.userId}>
      ${member.username}${member.byClaim && html` <span class="tag">by claim</span>`}${" "}
      <button type="button" class="danger" aria-label=${`Remove ${member.username} from ${group.name}`}
        onClick=${() => change(() => remove(["groups", group.id, "members", member.userId]))}>Remove</button></li>`)}
      ${members.length === 0 && html`<li class="faint">none</li>`}</ul>`)}
    <label>User<select name="user" required>${others.map((one) => html`<option key=${one.id} value=${one.id}>
      ${one.username}</option>`)}</select></label><//>`;
}

/** What a user sees, for the admin who has chosen it. @param {{ users: Api.User[] }} props */
function TryAs({ users }) {
  const chosen = query.value.get("user") ?? "";
  return html`<h2>Check access</h2>
    <label>What does this user see? <${Select} aria-label="User" value=${chosen}
      options=${[["", "Choose a user"], ...users.map((one) => [one.id, one.username])]}
      onSet=${(/** @type {string} */ id) => setQuery({ user: id })} /></label>
    ${chosen && html`<${View} key=${chosen} id=${chosen} />`}`;
}

/** @param {{ id: string }} props */
function View({ id }) {
  const [page, setPage] = useState(1);
  const loaded = useApi(["users", id, "access"], { page, perPage: 100 });
  return whenLoaded(loaded, "DAGs", ({ user, dags, more }) => {
    if (user.scope !== "granted") return html`<p>${user.username} sees all DAGs, as ${user.role}.</p>`;
    if (!dags.length && page === 1) return html`<p>${user.username} has access to no DAG.</p>`;
    return html`<${Table} heads=${["DAG", "Role"]}>${dags.map((dag) => html`<tr key=${dag.name}>
        <td class="wide-text"><a href=${href(["dags", dag.name])}>${dag.name}</a></td>
        <td data-label="role">${dag.role}</td></tr>`)}<//>
      ${(more || page > 1) && html`<p><button type="button" disabled=${page === 1} onClick=${() => setPage(page - 1)}>
        Previous</button> <button type="button" disabled=${!more} onClick=${() => setPage(page + 1)}>
        Next</button></p>`}`;
  });
}
