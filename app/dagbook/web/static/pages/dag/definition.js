// Editor of a DAG's definition with a preview.

import { html, useEffect, useMemo, useState } from "../../vendor/core.js";
import { HTTP, asError, getWithEtag, post, put } from "../../lib/api.js";
import { useDraft } from "../../lib/drafts.js";
import { plural } from "../../lib/format.js";
import { stepsOf } from "../../lib/graph.js";
import { guard, href, query } from "../../lib/router.js";
import { may } from "../../lib/session.js";
import { ActionButton, Failure, Loading } from "../../parts/basic.js";
import { DraftOffer, NextOfText } from "../../parts/draft.js";
import { Editor, placesOf } from "../../parts/editor.js";
import { FormDialog } from "../../parts/form.js";
import { DagGraph } from "../../parts/graph.js";
import { notify } from "../../parts/notice.js";

/** @typedef {{ text: string | null, etag: string | null, failure: Failed | null }} Loaded */
/** @typedef {Pick<Api.Validation, "errors" | "dag" | "nextStarts">} Checked */
/** @typedef {import("../../parts/editor.js").Place} Place */

const CHECK_AFTER = 400; // milliseconds without a key press

/** @param {{ name: string, readOnly: string }} props */
export function DefinitionTab({ name, readOnly }) {
  const [state, setState] = useState(/** @type {Loaded} */ ({ text: null, etag: null, failure: null }));
  const load = async () => {
    try {
      const { answer, etag } = await getWithEtag(["dags", name, "spec"]);
      setState({ text: answer.spec, etag, failure: null });
    } catch (failure) {
      setState({ text: null, etag: null, failure: asError(failure) });
    }
  };
  useEffect(() => {
    load();
  }, [name]);
  if (state.failure) return html`<${Failure} error=${state.failure} retry=${load} />`;
  if (state.text === null) return html`<${Loading} what="definition" />`;
  return html`<${Workbench} key=${state.etag} name=${name} stored=${state.text} etag=${state.etag} readOnly=${readOnly}
    onSaved=${load} />`;
}

/**
 * The line in the address to move to.
 * @returns {Place | null}
 */
function placeOfAddress() {
  const line = Number(query.peek().get("line"));
  return line > 0 ? { line } : null;
}

/**
 * @param {{ name: string, stored: string, etag: string | null, readOnly: string, onSaved: () => void }} props
 */
function Workbench({ name, stored, etag, readOnly, onSaved }) {
  const [text, setText] = useState(stored);
  const [checked, setChecked] = useState(/** @type {Checked} */ ({ errors: [] }));
  const [saving, setSaving] = useState(false);
  const [place, setPlace] = useState(placeOfAddress);
  const changed = text !== stored;
  const draft = useDraft(name, { text, stored, etag });
  const [begun, setBegun] = useState({ text: stored, count: 0 }); // the initial text of the editor
  const restart = (/** @type {string} */ from) => {
    setText(from);
    setBegun({ text: from, count: begun.count + 1 });
  };
  useEffect(() => {
    let current = true; // the answer about a text of before would disable the button under the pointer
    const show = (/** @type {Checked} */ found) => current && setChecked(found);
    const fail = (/** @type {unknown} */ error) => show({ errors: [asError(error).message] });
    const timer = setTimeout(() => post("dags/validate", { spec: text, name }).then(show, fail), CHECK_AFTER);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text]);
  useEffect(() => guard(() => changed), [changed]);
  const problems = useMemo(() => placesOf(checked.errors), [checked]);
  const steps = stepsOf((checked.dag?.steps ?? []).map((step) => ({ step })));
  return html`<div class="workbench">
    <section aria-label="Text of the definition">
      <div class="row"><span class="faint">${changed ? "Not saved" : "Saved"}</span><span class="grow"></span>
        <button type="button" disabled=${!changed} onClick=${() => restart(stored)}>Discard</button>
        <${ActionButton} right="write" class="primary" disabled=${!changed || problems.length > 0}
          title=${readOnly || (problems.length ? "Fix the problems first" : "")}
          onClick=${() => setSaving(true)}>Save<//></div>
      ${draft.offered && may("write") && !readOnly && html`<${DraftOffer} draft=${draft.offered} etag=${etag}
        onTake=${() => restart(draft.take()?.text ?? text)} onDrop=${draft.drop} />`}
      <${Editor} key=${begun.count} value=${begun.text} onChange=${setText} problems=${problems} place=${place}
        readOnly=${!may("write") || readOnly !== ""} label=${`Definition of ${name}`} />
    </section>
    <section aria-label="Preview of the definition">
      <h2>${problems.length ? plural(problems.length, "problem") : "No problems"}</h2>
      <ul class="plain problems">
        ${problems.map((problem, index) => html`<li key=${index}>
          <button type="button" class="quiet wide-text" title="Go to this line"
            onClick=${() => setPlace({ line: problem.line, column: problem.column })}>
            <span><span class="number">line ${problem.line}</span>: ${problem.message}</span></button></li>`)}</ul>
      <${NextOfText} starts=${checked.nextStarts} />
      ${steps.length > 0 && html`<${DagGraph} steps=${steps} />`}
    </section>
    ${saving && html`<${Save} name=${name} text=${text} etag=${etag} onClose=${() => setSaving(false)}
      onSaved=${onSaved} />`}
  </div>`;
}

/** @param {{ name: string, text: string, etag: string | null, onClose: () => void, onSaved: () => void }} props */
function Save({ name, text, etag, onClose, onSaved }) {
  const [newer, setNewer] = useState(false);
  const save = async (/** @type {Fields} */ { note }) => {
    try {
      const body = { spec: text, ...(note && { note }) };
      const saved = await put(["dags", name, "spec"], body, { etag: newer ? null : etag });
      if (saved.errors.length) throw new Error(saved.errors.join("\n"));
    } catch (error) {
      if (asError(error).status !== HTTP.PRECONDITION_FAILED) throw error;
      setNewer(true);
      return false;
    }
    notify(`${name} saved.`);
    onSaved();
    return true;
  };
  return html`<${FormDialog} title=${`Save ${name}`} action=${newer ? "Overwrite the newer revision" : "Save"}
    onSave=${save} onClose=${onClose}>
    ${newer && html`<p class="bad" role="alert">
      Another revision was saved since you opened this page. <a href=${href(["dags", name, "revisions"])}
        target="_blank">Compare it</a> before you overwrite it.</p>`}
    <label>Note<input name="note" maxlength="1000" placeholder="What changed, and why" /></label>
  <//>`;
}
