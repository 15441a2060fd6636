import { html, useEffect } from "../vendor/core.js";
import { get, post } from "../lib/api.js";
import { config } from "../lib/config.js";
import { restart } from "../lib/feed.js";
import { go, href, query } from "../lib/router.js";
import { hasUsers, lose, take, tellOfLogin } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { Failure, Icon } from "../parts/basic.js";
import { useSubmit } from "../parts/form.js";

/** @param {Fields} fields */
async function enter({ username, password, token }) {
  take(await post("auth/session", hasUsers ? { username, password } : { token }));
  tellOfLogin();
}

/** Where one wanted to go before; never to another site. */
function wanted() {
  const next = query.peek().get("next") ?? "/";
  return /^\/(?![/\\])/.test(next) ? next : "/";
}

/** Take over the session that a login at the provider has started. */
async function comeBack() {
  take(await get("auth/session"));
  tellOfLogin();
  restart();
  go(wanted(), { replace: true });
}

export default function Login() {
  useTitle("Log in");
  const { failure, busy, submit, fail } = useSubmit(async (fields) => {
    await enter(fields).catch((error) => {
      lose();
      throw error;
    });
    restart();
    go(wanted(), { replace: true });
  });
  useEffect(() => {
    if (query.peek().get("session") === "new") comeBack().catch(fail);
  }, []);
  return html`<main class="login">
    <h1><${Icon} name="mark" />Dagbook</h1>
    <form onSubmit=${submit}>
      ${hasUsers
        ? html`<label>Name<input name="username" autocomplete="username" required autofocus /></label>
            <label>Password<input name="password" type="password" autocomplete="current-password" required /></label>`
        : html`<label>Token<input name="token" type="password" autocomplete="off" required autofocus /></label>
            <p class="faint">The token of this server, as set by auth_token.</p>`}
      ${failure && html`<${Failure} error=${failure} />`}
      <button type="submit" class="primary" disabled=${busy}>${busy ? "Logging in…" : "Log in"}</button></form>
    ${hasUsers && config.provider && html`<p class="row"><a class="button" target="_self"
      href=${href("/oidc-login", { originalURL: wanted() === "/" ? href("/") : wanted() })}>
      Log in with ${config.provider}</a></p>`}
  </main>`;
}
