// Account page: the user's password, sessions and tokens.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { hasUsers, user } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { useApi, useReady } from "../lib/use-api.js";
import { Loading, NoUsers } from "../parts/basic.js";
import { FormDialog, NewPassword } from "../parts/form.js";
import { notify } from "../parts/notice.js";
import { SessionList } from "../parts/sessionlist.js";
import { TokenList } from "../parts/tokenlist.js";

export default function Account() {
  useTitle("Account");
  const [asked, setAsked] = useState(false);
  const sessions = useApi(hasUsers ? "sessions" : null, {});
  const tokens = useApi(hasUsers ? "tokens" : null);
  const isReady = useReady(sessions, tokens);
  if (!hasUsers) return html`<${NoUsers} title="Account" />`;
  const change = async (/** @type {Fields} */ { currentPassword, newPassword }) => {
    await post("auth/change-password", { currentPassword, newPassword });
    notify("Password changed. All your other sessions and tokens have ended.");
  };
  return html`<div class="row"><h1>${user.value?.username ?? "Account"}</h1>
    ${user.value && html`<span class="tag">role ${user.value.role}</span>`}<span class="grow"></span>
      <button type="button" onClick=${() => setAsked(true)}>Change password</button></div>
    ${isReady ? html`<${SessionList} list=${sessions} /><${TokenList} list=${tokens} />`
      : html`<${Loading} what="sessions and tokens" />`}
    ${asked && html`<${FormDialog} title="Change your password" action="Change password"
      onClose=${() => setAsked(false)} onSave=${change}>
      <label>Current password<input name="currentPassword" type="password" autocomplete="current-password" required />
      </label><${NewPassword} /><//>`}`;
}
