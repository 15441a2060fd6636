// Page of `dagbook login`: a token for the command line, sent to the port on which that command waits, or shown.

import { html, useEffect, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { query } from "../lib/router.js";
import { hasUsers, user } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Empty, Failure, Toggle } from "../parts/basic.js";
import { useSubmit } from "../parts/form.js";

const DAY = 86400000; // milliseconds
const ADMIN_DAYS = 30; // the longest with the rights of an admin
/** @type {[days: string, what: string][]} */
const EXPIRIES = [
  ["1", "in a day"], ["30", "in 30 days"], ["90", "in 90 days"], ["365", "in a year"], ["", "when this server ends it"],
];

/** What the command gives; a port that is none counts as missing. */
function asked() {
  const given = query.peek();
  const port = Number(given.get("port"));
  return {
    port: Number.isInteger(port) && port >= 1024 && port <= 65535 ? port : null,
    state: given.get("state") ?? "",
    host: (given.get("host") ?? "").slice(0, 60) || "this machine",
  };
}

/**
 * Send the answer to the command by a form, which leaves nothing in the history of the browser.
 * @param {number} port
 * @param {Record<string, string>} fields
 */
function send(port, fields) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = `http://127.0.0.1:${port}/`;
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name, value });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}

export default function CliLogin() {
  useTitle("Allow the command line");
  const { port, state, host } = asked();
  const [token, setToken] = useState("");
  const [asAdmin, setAsAdmin] = useState(false);
  const { failure, busy, submit } = useSubmit(async ({ days }) => {
    const now = new Date().toISOString().slice(0, 19).replace("T", " "); // names of tokens differ
    const made = await post("tokens", {
      name: `${`command line on ${host}`.slice(0, 43)} ${now}`,
      ...(days && { expiresAt: new Date(Date.now() + Number(days) * DAY).toISOString() }),
      ...(asAdmin && { scopes: ["read", "run", "write", "admin"] }),
    });
    if (port) send(port, { state, token: made.token, tokenId: made.details.id });
    else setToken(made.token);
  });
  useEffect(() => {
    // Only the document of this path may send a form to the command; after a login elsewhere it is another one.
    const [loaded] = performance.getEntriesByType("navigation");
    if (port && loaded && new URL(loaded.name).pathname !== window.location.pathname) window.location.reload();
  }, []);
  if (!hasUsers) return html`<h1>Allow the command line</h1><${Empty} title="This server has no users">
    <p>Paste its token into <code>dagbook login --paste</code>.</p><//>`;
  if (token) return html`<h1>Allow the command line</h1>
    <p>Paste this token into <code>dagbook login</code>. It is not shown again.</p>
    <pre class="events" tabindex="0">${token}</pre>`;
  return html`<h1>Allow the command line on ${host}?</h1>
    <form onSubmit=${submit}>
      <p><code>dagbook login</code> on ${host} asks for a token with the rights of
        ${" "}<strong>${user.value?.username}</strong>. Allow it only if you have just started it.</p>
      ${user.value?.role === "admin" && html`<${Toggle} on=${asAdmin} onSet=${setAsAdmin}
        name=${`also manage users, tokens and the audit log, for ${ADMIN_DAYS} days at most`} />`}
      <label>Token expires<select name="days" key=${asAdmin} value=${asAdmin ? "30" : "90"}>
          ${EXPIRIES.filter(([days]) => !asAdmin || (days && Number(days) <= ADMIN_DAYS)).map(([days, what]) => html`
            <option key=${days} value=${days}>${what}</option>`)}</select></label>
      ${failure && html`<${Failure} error=${failure} />`}
      <p class="row"><button type="submit" class="primary" disabled=${busy}>Allow</button>
        ${port && html`<button type="button" disabled=${busy} onClick=${() => send(port, { state })}>
          Refuse</button>`}</p></form>`;
}
