// Forms that add and change triggers, and give them a secret, which is shown once.

import { html, useState } from "../vendor/core.js";
import { patch, post } from "../lib/api.js";
import { go, href } from "../lib/router.js";
import { SCHEMES, changesOf, paramLines, triggerOf } from "../lib/triggers.js";
import { NameField } from "./alertitems.js";
import { DagName } from "./dagname.js";
import { Choices, FormDialog } from "./form.js";
import { ShownOnce } from "./shownonce.js";

/** A field of one line. @param {{ label: string, note?: Children, [attribute: string]: unknown }} props */
const Line = ({ label, note, ...rest }) => html`<label>${label}<input autocomplete="off" maxlength="500" ...${rest} />
  ${note && html`<small>${note}</small>`}</label>`;

/** @param {{ label: string, [attribute: string]: unknown }} props */
const Count = ({ label, ...rest }) => html`<label>${label}<input type="number" ...${rest} /></label>`;

/**
 * A new trigger is a webhook, `dag` the DAG that it begins with.
 * @param {{ trigger?: Api.Trigger, dag?: string, onClose: () => void, onDone?: Reload }} props
 */
export function TriggerForm({ trigger, dag = "", onClose, onDone }) {
  const [scheme, setScheme] = useState(trigger ? trigger.scheme : SCHEMES[0][0]);
  const [made, setMade] = useState(/** @type {Api.Trigger | null} */ (null));
  const open = (/** @type {Api.Trigger} */ { name }) => go(href(["triggers", name]));
  const save = async (/** @type {Fields} */ fields) => {
    const options = triggerOf(fields);
    if (trigger) return patch(["triggers", trigger.name], changesOf(trigger, options)).then(onDone);
    const [name, secret] = [fields.name.trim(), fields.secret.trim()];
    const added = await post("triggers", { ...options, name, scheme, ...(secret && { secret }) });
    if (!added.secret) return open(added);
    setMade(added);
    return false;
  };
  if (made) return html`<${Secret} trigger=${made} onClose=${() => open(made)} />`;
  const { params = {}, filters = [], queue, priority, perMinute, maxBytes, maxWaiting, collapse, settings = {} } =
    trigger ?? /** @type {Partial<Api.Trigger>} */ ({});
  const hasLimits = Boolean(trigger && (queue || priority || collapse));
  return html`<${FormDialog} title=${trigger ? `Edit the trigger ${trigger.name}` : "Add a webhook"}
    action=${trigger ? "Save" : "Add"} onClose=${onClose} onSave=${save}>
    ${!trigger && html`<${NameField} sample="push" />`}
    <label>DAG<${DagName} value=${trigger ? trigger.dag : dag} /></label>
    ${!trigger && html`<${Choices} legend="Sent by" name="scheme" options=${SCHEMES} chosen=${scheme}
      onChoose=${setScheme} />`}
    ${scheme && html`<${SchemeFields} key=${scheme} scheme=${scheme}
      settings=${/** @type {Api.WebhookSettings} */ (settings)} />`}
    ${!trigger && html`<${SecretField} />`}
    <label>Params, one a line<textarea name="params" rows="2" placeholder="SHA=json:/after" spellcheck="false"
      defaultValue=${paramLines(params).join("\n")}></textarea>
      <small>${scheme && html`Without any the run has the variable <code>WEBHOOK_PAYLOAD</code>. `}
        <code>NAME!=…</code> has to be there</small></label>
    <label>Filters, one a line<textarea name="filters" rows="2" placeholder="json:/ref = refs/heads/main"
      spellcheck="false" defaultValue=${filters.join("\n")}></textarea><small>All must hold</small></label>
    <details open=${hasLimits}><summary>Queue and limits</summary>
      <${Line} label="Queue" name="queue" placeholder="that of the DAG" defaultValue=${queue} />
      <${Count} label="Priority in it" name="priority" required defaultValue=${priority ?? 0} />
      ${scheme && html`
        <${Count} label="Requests in a minute" name="perMinute" min="1" placeholder="120" defaultValue=${perMinute} />
        <${Count} label="Bytes of a body" name="maxBytes" min="1" placeholder="1048576" defaultValue=${maxBytes} />`}
      <${Count} label="Queued runs, beyond which events wait" name="maxWaiting" min="1" placeholder="1000"
        defaultValue=${maxWaiting} />
      <label class="inline"><input type="checkbox" name="collapse" defaultChecked=${collapse ?? false} />
        Of several events that wait, start the newest only</label></details><//>`;
}

/** @param {{ scheme: string, settings: Api.WebhookSettings }} props */
function SchemeFields({ scheme, settings: { key, header, prefix, encoding, timeHeader, signed, repeats } }) {
  if (scheme !== "token" && scheme !== "hmac") return null; // these know where their signature is
  return html`${scheme === "hmac" && html`
      <${Line} label="Header of the signature" name="header" required placeholder="X-Signature"
        defaultValue=${header} />
      <${Line} label="Text before it" name="prefix" placeholder="sha256=" defaultValue=${prefix} />
      <label>Encoding<select name="encoding">${["hex", "base64"].map((one) => html`<option key=${one}
        selected=${one === encoding}>${one}</option>`)}</select></label>
      <${Line} label="Header of the time" name="timeHeader" placeholder="none" defaultValue=${timeHeader} />
      <${Line} label="What is signed" name="signed" placeholder="{body}, or v0:{time}:{body}"
        defaultValue=${signed} />
      <label class="inline"><input type="checkbox" name="repeats" defaultChecked=${repeats ?? false} />
        Take a body again that was taken already</label>`}
    <${Line} label="Id of an event" name="key" placeholder="json:/id" defaultValue=${key}
      note="Where the body has it: the same id again starts nothing" />`;
}

const SecretField = () => html`<label>Secret<input name="secret" type="password" autocomplete="new-password"
  maxlength="500" placeholder="one is made, and shown once" /><small>Only if the sender has made it</small></label>`;

/** A new secret for a trigger. @param {{ trigger: Api.Trigger, onClose: () => void }} props */
export function Rotation({ trigger, onClose }) {
  const [made, setMade] = useState(/** @type {Api.Trigger | null} */ (null));
  const rotate = async (/** @type {Fields} */ { secret }) => {
    const rotated = await post(["triggers", trigger.name, "secret"], secret.trim() ? { secret: secret.trim() } : {});
    if (!rotated.secret) return true;
    setMade(rotated);
    return false;
  };
  if (made) return html`<${Secret} trigger=${made} onClose=${onClose} />`;
  return html`<${FormDialog} title=${`New secret for ${trigger.name}`} action="Rotate secret" onClose=${onClose}
    onSave=${rotate}><p>For 24 hours the one before is taken, too.</p><${SecretField} /><//>`;
}

/** @param {{ trigger: Api.Trigger, onClose: () => void }} props */
const Secret = ({ trigger: { name, secret, path }, onClose }) => html`<${ShownOnce}
  title=${`Secret of the trigger ${name}`} secret=${secret} onClose=${onClose}>
  Give it to the sender, with the address <code class="wide-text">${path}</code>.<//>`;
