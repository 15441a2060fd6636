// Editor of a DAG's definition with a preview, and drafts of it in this browser.

import { html, useEffect, useMemo, useState } from "../../vendor/core.js";
import { HTTP, asError, getWithEtag, post, put } from "../../lib/api.js";
import { plural } from "../../lib/format.js";
import { stepsOfDag } from "../../lib/graph.js";
import { guard, href, query } from "../../lib/router.js";
import { may, user } from "../../lib/session.js";
import { store, storedValue } from "../../lib/stored.js";
import { useAnswer } from "../../lib/use-api.js";
import { ActionButton, Failure, Loading, Time } from "../../parts/basic.js";
import { NextTime } from "../../parts/clock.js";
import { Diff } from "../../parts/diff.js";
import { Editor, placesOf } from "../../parts/editor.js";
import { Confirm, FormDialog } from "../../parts/form.js";
import { DagGraph } from "../../parts/graph.js";
import { notify } from "../../parts/notice.js";

/** @import { Place } from "../../parts/editor.js" */
/** @typedef {Pick<Api.Validation, "errors" | "dag" | "nextStarts">} Checked */
/** An unsaved text in this browser. @typedef {{ text: string, etag: string | null, at: string }} Draft */

const CHECK_AFTER = 400; // milliseconds without a key press
const KEPT_AFTER = 500; // as well

/** @param {{ name: string, readOnly: string }} props */
export function DefinitionTab({ name, readOnly }) {
  const { data: loaded, failure, ask } = useAnswer(() => getWithEtag(["dags", name, "spec"]));
  useEffect(() => void ask(), []);
  if (failure) return html`<${Failure} error=${failure} retry=${ask} />`;
  if (!loaded) return html`<${Loading} what="definition" />`;
  return html`<${Workbench} key=${loaded.etag} name=${name} stored=${loaded.answer.spec} etag=${loaded.etag}
    readOnly=${readOnly} onSaved=${ask} />`;
}

/** The place of the address to move to: a line, or a key, else the end. @param {string} text @returns {Place | null} */
function placeOfAddress(text) {
  const [line, key] = [Number(query.peek().get("line")), query.peek().get("key")];
  if (!key) return line > 0 ? { line } : null;
  const lines = text.split("\n");
  return { line: lines.findIndex((one) => one.startsWith(`${key}:`)) + 1 || lines.length };
}

/** @param {{ name: string, stored: string, etag: string | null, readOnly: string, onSaved: () => void }} props */
function Workbench({ name, stored, etag, readOnly, onSaved }) {
  const [text, setText] = useState(stored);
  const [checked, setChecked] = useState(/** @type {Checked | null} */ (null));
  const [good, setGood] = useState(/** @type {Checked | null} */ (null)); // of the last text without problems
  const [asked, setAsked] = useState(/** @type {"save" | "discard" | "restore" | null} */ (null));
  const [place, setPlace] = useState(() => placeOfAddress(stored));
  const changed = text !== stored;
  const draft = useDraft(name, { text, stored, etag });
  const [begun, setBegun] = useState({ text: stored, count: 0 }); // the initial text of the editor
  const restart = (/** @type {string} */ from) => {
    setText(from);
    setBegun({ text: from, count: begun.count + 1 });
  };
  useEffect(() => {
    let current = true; // the answer about a text of before would disable the button under the pointer
    const show = (/** @type {Checked} */ found) => {
      if (!current) return;
      setChecked(found);
      if (!found.errors.length) setGood(found);
    };
    const fail = (/** @type {unknown} */ error) => show({ errors: [asError(error).message] });
    const check = () => post("dags/validate", { spec: text, name }).then(show, fail);
    const timer = setTimeout(check, checked ? CHECK_AFTER : 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text]);
  useEffect(() => guard(() => changed), [changed]);
  const problems = useMemo(() => placesOf(checked?.errors ?? []), [checked]);
  const shown = problems.length && good ? good : checked;
  const restore = () => restart(draft.decide()?.text ?? text);
  const close = () => setAsked(null);
  return html`<div class="workbench">
    <section aria-label="Text of the definition">
      <div class="row"><span class="faint">${changed ? "Not saved" : "Saved"}</span><span class="grow"></span>
        <button type="button" disabled=${!changed} onClick=${() => setAsked("discard")}>Discard</button>
        <${ActionButton} right="write" class="primary" disabled=${!changed || problems.length > 0}
          title=${readOnly || (problems.length ? "Fix the problems first" : "")}
          onClick=${() => setAsked("save")}>Save<//></div>
      ${draft.offered && may("write") && !readOnly && html`<${DraftOffer} draft=${draft.offered} etag=${etag}
        onTake=${() => (changed ? setAsked("restore") : restore())} onDrop=${draft.decide} />`}
      <${Editor} key=${begun.count} value=${begun.text} onChange=${setText} problems=${problems} place=${place}
        readOnly=${!may("write") || readOnly !== ""} label=${`Definition of ${name}`} />
    </section>
    <section aria-label="Preview of the definition">
      <h2>${!checked ? "Preview" : problems.length ? plural(problems.length, "problem") : "No problems"}</h2>
      <ul class="plain problems">
        ${problems.map((problem, index) => html`<li key=${index}>
          <button type="button" class="quiet wide-text" title="Go to this line"
            onClick=${() => setPlace({ line: problem.line, column: problem.column })}>
            <span><span class="number">line ${problem.line}</span>: ${problem.message}</span></button></li>`)}</ul>
      <div class=${shown === checked ? "preview" : "preview dimmed"}>
        ${shown !== checked && html`<p class="faint">This is what the text was before the problems.</p>`}
        ${shown ? html`<${Preview} of=${shown} />` : html`<${Loading} what="preview" />`}</div></section>
    ${asked === "save" && html`<${Save} name=${name} text=${text} etag=${etag} onClose=${close} onSaved=${onSaved} />`}
    ${asked === "discard" && html`<${Confirm} title="Discard your changes?" action="Discard changes" onClose=${close}
      onConfirm=${() => restart(stored)}><p>The text becomes that of the newest revision again.</p><//>`}
    ${asked === "restore" && html`<${Confirm} title="Replace what you have typed?" action="Restore the draft"
      onClose=${close} onConfirm=${restore}>
      <p>The draft replaces what you have typed since you opened this page.</p><//>`}
  </div>`;
}

/** @param {{ of: Checked }} props */
function Preview({ of: { dag, nextStarts } }) {
  const steps = useMemo(() => (dag ? stepsOfDag(dag) : []), [dag]);
  return html`<${NextOfText} starts=${nextStarts} />
    ${steps.length > 0 ? html`<${DagGraph} steps=${steps} />`
      : html`<p class="faint">There are no steps to show.</p>`}`;
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
  return html`<${FormDialog} title=${`Save ${name}`} action=${newer ? "Overwrite the newer revision" : "Save"} wide
    onSave=${save} onClose=${onClose}>
    ${newer && html`<p class="bad" role="alert">
      Another revision was saved since you opened this page. <a href=${href(["dags", name, "revisions"])}
        target="_blank">Compare it</a> before you overwrite it.</p>`}
    <label>Note<input name="note" maxlength="1000" placeholder="What changed, and why" /></label>
    <${Changes} key=${String(newer)} name=${name} text=${text} /><//>`;
}

/** The difference between the newest revision and a text. @param {{ name: string, text: string }} props */
function Changes({ name, text }) {
  const { data: diff, failure, ask } = useAnswer(() => post(["dags", name, "revisions", "diff"], { spec: text }));
  useEffect(() => void ask(), []);
  return html`<section class="changes" aria-label="Changes">
    <h3>Changes${diff && ` since revision ${diff.revision}`}</h3>
    ${failure && html`<${Failure} error=${failure} />`}${diff && html`<${Diff} text=${diff.diff} />`}</section>`;
}

/** A draft is offered to the user who has written it, also after an idle session. @param {string} name */
const keyOf = (name) => `dagbook.draft.${[user.peek()?.id, name].filter(Boolean).join(".")}`;

/** @param {string} name @returns {Draft | null} */
function read(name) {
  const draft = storedValue(keyOf(name));
  return typeof draft?.text === "string" ? draft : null;
}

/**
 * Store an editor's unsaved text, and offer the draft that was stored before it was opened.
 * `stored` is the server's text of the revision `etag`.
 * `offered` is set until the user takes or discards the draft: `decide` returns it.
 * @param {string} name
 * @param {{ text: string, stored: string, etag: string | null }} definition
 */
function useDraft(name, { text, stored, etag }) {
  const [offered, setOffered] = useState(() => {
    const draft = read(name);
    return draft && draft.text !== stored ? draft : null;
  });
  useEffect(() => {
    if (offered) return undefined; // the draft is not overwritten before the user has decided
    const write = () => {
      const draft = { text, etag, at: new Date().toISOString() };
      store(keyOf(name), text === stored ? null : JSON.stringify(draft));
    };
    const timer = setTimeout(write, KEPT_AFTER);
    return () => clearTimeout(timer);
  }, [offered, name, text, stored, etag]);
  const decide = () => {
    setOffered(null);
    return offered;
  };
  return { offered, decide };
}

/**
 * `etag` is that of the displayed revision.
 * @param {{ draft: Draft, etag: string | null, onTake: () => void, onDrop: () => void }} props
 */
function DraftOffer({ draft, etag, onTake, onDrop }) {
  return html`<div class="draft" role="status">
    <p>You have unsaved changes from <${Time} at=${draft.at} />.
      ${draft.etag !== etag && html` <strong class="wait">Another revision was saved since then.</strong>`}</p>
    <div class="row"><button type="button" class="primary" onClick=${onTake}>Restore draft</button>
      <button type="button" onClick=${onDrop}>Discard draft</button></div></div>`;
}

/** The next starts that the text would cause. @param {{ starts: Api.NextStart[] | undefined }} props */
function NextOfText({ starts }) {
  if (!starts?.length) return null;
  return html`<section aria-label="Next starts of this text"><h2>Next starts with this text</h2>
    <ul class="plain">
      ${starts.map(({ at, expression }) => html`<li key=${at}>
        <${NextTime} at=${at} /> <code class="faint">${expression}</code></li>`)}</ul></section>`;
}
