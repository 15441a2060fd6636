// Question for the password before a change that needs a fresh login.

import { html } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { question, take, user } from "../lib/session.js";
import { FormDialog } from "./form.js";

export function Again() {
  const answer = question.value;
  if (!answer) return null;
  const enter = async (/** @type {Fields} */ { password }) => {
    take(await post("auth/session", { username: user.peek()?.username ?? "", password }));
    answer(true);
  };
  return html`<${FormDialog} title="Log in again" action="Log in" onClose=${() => answer(false)} onSave=${enter}>
    <p>This change needs a login that is not older than 15 minutes.</p>
    <label>Password of ${user.peek()?.username}
      <input name="password" type="password" autocomplete="current-password" required autofocus /></label><//>`;
}
