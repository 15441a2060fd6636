// List of personal API tokens, with creation and revocation; a token is shown only once.

import { html, useState } from "../vendor/core.js";
import { post, remove } from "../lib/api.js";
import { hasGrants, user } from "../lib/session.js";
import { Empty, Table, whenLoaded, Time } from "./basic.js";
import { Confirm, FormDialog } from "./form.js";
import { ShownOnce } from "./shownonce.js";

/** @type {Api.Role[]} */
const ROLES = ["viewer", "operator", "manager", "admin"];
const EXPIRIES = [["30", "in 30 days"], ["90", "in 90 days"], ["365", "in a year"], ["", "never"]];
/** @type {[scope: Api.Scope, what: string][]} */
const SCOPES = [
  ["read", "read"],
  ["run", "start and stop runs"],
  ["write", "change definitions"],
  ["admin", "manage users, tokens and the audit log"],
];

/**
 * @typedef {{ kind: "new" }
 *   | { kind: "made", token: string, name: string }
 *   | { kind: "revoke", token: Api.Token }} Asked
 */

/** @param {{ list: import("../lib/use-api.js").Loading<Api.Tokens> }} props */
export function TokenList({ list }) {
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const close = () => setAsked(null);
  const highest = hasGrants.value ? "manager" : (user.value?.role ?? "viewer"); // grants limit a token by themselves
  const make = async (/** @type {Fields} */ { name, role, days, addresses, dags, ...others }) => {
    const scopes = SCOPES.map(([scope]) => scope).filter((scope) => others[`scope ${scope}`]);
    const expiresAt = days ? new Date(Date.now() + Number(days) * 86400000).toISOString() : null;
    const { token } = await post("tokens", {
      name,
      role: /** @type {Api.Role} */ (role),
      ...(expiresAt && { expiresAt }),
      scopes,
      ...(addresses.trim() && { addresses: addresses.trim().split(/[\s,]+/) }),
      ...(dags.trim() && { dags: dags.trim().split(/[\s,]+/) }),
    });
    await list.reload();
    setTimeout(() => setAsked({ kind: "made", token, name }));
  };
  return html`
    <div class="row"><h2>Personal tokens</h2><span class="grow"></span>
      <button type="button" class="primary" onClick=${() => setAsked({ kind: "new" })}>Create token</button></div>
    ${whenLoaded(list, "tokens", ({ tokens }) =>
      tokens.length
        ? html`<${Table} heads=${["Name", "User", "Highest role", "Created", "Expires", "Last used", "-Actions"]}>
          ${tokens.map((token) => html`<${Row} key=${token.id} token=${token}
            onRevoke=${() => setAsked({ kind: "revoke", token })} />`)}<//>`
        : html`<${Empty} title="No tokens yet">
          <p>With a token, a script uses the API as you, with your role or a lower one.</p><//>`)}
    ${asked?.kind === "new" && html`<${FormDialog} title="Create a token" action="Create" onClose=${close}
      onSave=${make}>
      <label>Name<input name="name" required maxlength="64" placeholder="What uses it" /></label>
      <label>Highest role<select name="role" value=${highest}>
          ${ROLES.slice(0, ROLES.indexOf(highest) + 1).map((role) => html`<option key=${role}>${role}</option>`)}
          </select></label>
      <label>Expires<select name="days" value="90">
          ${EXPIRIES.map(([days, when]) => html`<option key=${days} value=${days}>${when}</option>`)}</select></label>
      <fieldset><legend>Allow it to</legend>
        ${SCOPES.map(([scope, what]) => html`<label class="inline" key=${scope}>
          <input type="checkbox" name=${`scope ${scope}`} checked=${scope !== "admin"} />${what}</label>`)}</fieldset>
      <label>Only from<input name="addresses" placeholder="any address, or 10.0.0.0/8, 192.0.2.7" /></label>
      <label>Only for DAGs named<input name="dags" placeholder="any name, or etl-*, report" /></label><//>`}
    ${asked?.kind === "made" && html`<${ShownOnce} title=${`Token ${asked.name}`} secret=${asked.token}
      onClose=${close}>Send it as <code>Authorization: Bearer …</code><//>`}
    ${asked?.kind === "revoke" && html`<${Confirm} title=${`Revoke token ${asked.token.name}?`} action="Revoke"
      onClose=${close} onConfirm=${() => remove(["tokens", asked.token.id]).then(list.reload)}>
      <p>Programs that use it are refused from now on.</p><//>`}`;
}

/** @param {{ token: Api.Token, onRevoke: () => void }} props */
function Row({ token, onRevoke }) {
  const over = token.revokedAt || (token.expiresAt && new Date(token.expiresAt) < new Date());
  const { scopes, addresses, dags } = token;
  const limits = [scopes && `only ${scopes.join(" and ")}`, addresses && `from ${addresses.join(", ")}`,
    dags && `for ${dags.join(", ")}`].filter(Boolean);
  return html`<tr>
    <td class="wide-text">${token.name}
      ${limits.length > 0 && html`<div class="faint">${limits.join(", ")}</div>`}</td>
    <td>${token.username}</td>
    <td>${token.role}${token.role === "admin" && !scopes && html`<div class="faint">
      manager: does not name the scope admin</div>`}</td>
    <td data-label="created"><${Time} at=${token.createdAt} /></td>
    <td data-label="expires">
      ${token.revokedAt ? html`revoked <${Time} at=${token.revokedAt} />` : token.expiresAt ? html`<${Time}
        at=${token.expiresAt} />` : "never"}</td>
    <td data-label="last used"><${Time} at=${token.lastUsedAt} /></td>
    <td class="actions">
      ${!over && html`<button type="button" class="danger" aria-label=${`Revoke ${token.name}`} onClick=${onRevoke}>
        Revoke</button>`}</td></tr>`;
}
