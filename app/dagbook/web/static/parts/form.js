// Form in a dialog: fields, the server's error message, and one button.

import { html, useState } from "../vendor/core.js";
import { asError } from "../lib/api.js";
import { Dialog, Failure } from "./basic.js";

/**
 * The values of a form's fields; file fields are not supported.
 * @param {HTMLFormElement} form
 */
export const valuesOf = (form) => /** @type {Fields} */ (Object.fromEntries(new FormData(form)));

/**
 * The dialog closes when `onSave` resolves, but not to false; `ways` are what else can be done after an error.
 * @param {{ title: string, action: string, onSave: (fields: Fields) => unknown, onClose: () => void,
 *   children?: Children, wide?: boolean, ways?: (error: Failed & { code?: string }) => Children }} props
 */
export function FormDialog({ title, action, onSave, onClose, children, wide, ways }) {
  const [failure, setFailure] = useState(/** @type {Failed | null} */ (null));
  const [busy, setBusy] = useState(false);
  const submit = async (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      if ((await onSave(valuesOf(event.target))) === false) setBusy(false);
      else onClose();
    } catch (error) {
      setFailure(asError(error));
      setBusy(false);
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} wide=${wide}>
    <form onSubmit=${submit}>
      <div class="body">${children}</div>
      <footer>
        ${failure && html`<${Failure} error=${failure}>${ways?.(failure)}<//>`}
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class="primary" disabled=${busy}>${action}</button>
      </footer>
    </form>
  <//>`;
}

/**
 * Fields for a new password, twice, so that a typing error is noticed.
 * @param {{ label?: string }} props
 */
export function NewPassword({ label = "New password" }) {
  const [first, setFirst] = useState("");
  const check = (/** @type {InputChange} */ event) =>
    event.target.setCustomValidity(event.target.value === first ? "" : "The two passwords differ.");
  return html`
    <label>${label}
      <input name="newPassword" type="password" autocomplete="new-password" minlength="8" required
        onInput=${(/** @type {InputChange} */ event) => setFirst(event.target.value)} /></label>
    <label>${label}, again<input type="password" autocomplete="new-password" required onInput=${check} /></label>`;
}
