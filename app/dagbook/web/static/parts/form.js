// Forms, and dialogs with one: fields, the server's error message, and one button.

import { html, useState } from "../vendor/core.js";
import { asError } from "../lib/api.js";
import { Dialog, Failure } from "./basic.js";

/** The values of a form's fields; file fields are not supported. @param {HTMLFormElement} form */
export const valuesOf = (form) => /** @type {Fields} */ (Object.fromEntries(new FormData(form)));

/**
 * The submission of a form: its error, and whether it goes on. It stays busy after success, when the form is left,
 * unless `work` resolves to false. `fail` shows another error.
 * @param {(fields: Fields) => unknown} work
 */
export function useSubmit(work) {
  const [failure, setFailure] = useState(/** @type {Failed | null} */ (null));
  const [busy, setBusy] = useState(false);
  const fail = (/** @type {unknown} */ error) => setFailure(asError(error));
  const submit = async (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(null);
    try {
      if ((await work(valuesOf(event.target))) === false) setBusy(false);
    } catch (error) {
      fail(error);
      setBusy(false);
    }
  };
  return { failure, busy, submit, fail };
}

/**
 * The dialog closes when `onSave` resolves, but not to false; `ways` are what else can be done after an error.
 * @param {{ title: string, action: string, onSave: (fields: Fields) => unknown, onClose: () => void,
 *   children?: Children, wide?: boolean, look?: string, disabled?: boolean,
 *   ways?: (error: Failed & { code?: string }) => Children }} props
 */
export function FormDialog({ title, action, onSave, onClose, children, wide, look = "primary", disabled, ways }) {
  const { failure, busy, submit } = useSubmit(async (fields) => {
    const saved = await onSave(fields);
    if (saved !== false) onClose();
    return saved;
  });
  return html`<${Dialog} title=${title} onClose=${onClose} wide=${wide}>
    <form onSubmit=${submit}>
      <div class="body">${children}</div>
      <footer>
        ${failure && html`<${Failure} error=${failure}>${ways?.(failure)}<//>`}
        <button type="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class=${look} disabled=${busy || disabled}>${action}</button></footer></form><//>`;
}

/**
 * Confirmation of an action that cannot be undone.
 * `typed` has to be typed first, for the most destructive ones.
 * @param {{ title: string, children?: Children, action: string, onConfirm: () => unknown, onClose: () => void,
 *   typed?: string | null, danger?: boolean }} props
 */
export function Confirm({ title, children, action, onConfirm, onClose, typed, danger = true }) {
  const [text, setText] = useState("");
  return html`<${FormDialog} title=${title} action=${action} look=${danger ? "danger" : "primary"} onClose=${onClose}
    onSave=${onConfirm} disabled=${Boolean(typed) && text !== typed}>
    ${children}
    ${typed && html`<label><span>Type <code>${typed}</code> to confirm</span>
      <input value=${text} onInput=${(/** @type {InputChange} */ event) => setText(event.target.value)}
        autocomplete="off" /></label>`}<//>`;
}

/** Fields for a new password, twice, so that a typing error is noticed. @param {{ label?: string }} props */
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

/**
 * One of a few values, each with what it means.
 * @param {{ legend: string, name: string, options: [value: string, what: string][], chosen?: string,
 *   onChoose?: (value: string) => void }} props
 */
export function Choices({ legend, name, options, chosen = options[0][0], onChoose }) {
  return html`<fieldset><legend>${legend}</legend>
    ${options.map(([value, what]) => html`<label class="inline" key=${value}>
      <input type="radio" name=${name} value=${value} checked=${value === chosen} onChange=${() => onChoose?.(value)} />
      ${value}<span class="faint">${what}</span></label><br />`)}
  </fieldset>`;
}
