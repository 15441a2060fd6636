// A form in a dialog: fields, the server's words when it refuses, and one button.

import { html, useState } from "../vendor/core.js";
import { Dialog, Failure } from "./basic.js";

/** @param onSave called with the form's values; the dialog closes when it resolves, but not to false */
export function FormDialog({ title, action, onSave, onClose, children, wide }) {
  const [failure, setFailure] = useState(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      if ((await onSave(Object.fromEntries(new FormData(event.target)))) === false) setBusy(false);
      else onClose();
    } catch (error) {
      setFailure(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} wide=${wide}>
    <form onSubmit=${submit}>
      <div class="body">${children}</div>
      <footer>
        ${failure && html`<${Failure} error=${failure} />`}
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="primary" disabled=${busy}>${action}</button>
      </footer>
    </form>
  <//>`;
}

/** A new password, twice, so that a slip of the finger is noticed. */
export function NewPassword({ label = "New password" }) {
  const [first, setFirst] = useState("");
  const check = (event) => event.target.setCustomValidity(event.target.value === first ? "" : "The two passwords differ.");
  return html`
    <label>${label}<input name="newPassword" type="password" autocomplete="new-password" minlength="8" required onInput=${(event) => setFirst(event.target.value)} /></label>
    <label>${label}, again<input type="password" autocomplete="new-password" required onInput=${check} /></label>`;
}
