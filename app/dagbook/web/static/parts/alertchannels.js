// Channels of alerts: where messages go, whether their receivers answer, and the forms to change them.

import { html, useState } from "../vendor/core.js";
import { patch, post } from "../lib/api.js";
import { TYPES, channelOf, lookOfChannel, targetOf } from "../lib/alerts.js";
import { may } from "../lib/session.js";
import { ItemList, NameField } from "./alertitems.js";
import { ActionButton, Status, Time } from "./basic.js";
import { Choices, Confirm, FormDialog } from "./form.js";
import { AlertTest } from "./receipts.js";
import { ShownOnce } from "./shownonce.js";

const SECRET = "New secret";

/** @param {Api.AlertChannel} channel */
const placeOf = ({ url, host, to }) => [url ?? host, to?.join(", ")].filter(Boolean).join(" ");

/**
 * @param {{ channels: Api.AlertChannel[], rules: Api.AlertRule[], reload: () => Promise<unknown>, onAdd: () => void
 *   }} props
 */
export function ChannelList({ channels, rules, reload, onAdd }) {
  const mayChange = may("admin");
  const kept = (/** @type {Api.AlertChannel} */ { name }) => {
    const using = rules.filter(({ to }) => to.some((text) => targetOf(text).channel === name));
    return using.length ? `Used by ${using.map((rule) => rule.name).join(", ")}` : "";
  };
  return html`<${ItemList} noun="channel" title="Channels" items=${channels} reload=${reload} kept=${kept}
    mayUse=${() => mayChange} hint="What waits for it is dropped"
    removed="What waits for it is not sent. The messages that it was sent stay in the history."
    heads=${["Channel", "Type", ...(mayChange ? ["Leads to"] : []), "State", "Last message"]}
    cells=${(/** @type {Api.AlertChannel} */ channel) => html`
      <td class="wide-text">${channel.name}${channel.shared && html` <span class="tag">shared</span>`}
        ${channel.configured && html` <span class="tag">from the settings</span>`}</td>
      <td>${channel.type}</td>
      ${mayChange && html`<td class="wide-text faint">${placeOf(channel)}</td>`}
      <td><${Status} look=${lookOfChannel(channel)} />
        ${channel.failingSince && html` since <${Time} at=${channel.failingSince} />`}</td>
      <td data-label="last message"><${Time} at=${channel.lastSentAt} /></td>`}
    turn=${(/** @type {Api.AlertChannel} */ { name, enabled }) =>
      patch(["alert-channels", name], { enabled: !enabled })}
    extra=${(/** @type {Api.AlertChannel} */ { type, url }) =>
      (type === "webhook" || (type === "ping" && url) ? [SECRET] : [])}
    dialogs=${/** @type {Record<string, (channel: Api.AlertChannel, close: () => void) => Children>} */ ({
      edit: (channel, close) => html`<${ChannelForm} channel=${channel} onClose=${close} onDone=${reload} />`,
      test: ({ name }, close) => html`<${AlertTest} title=${`Test the channel ${name}`} onClose=${close}
        send=${() => post(["alert-channels", name, "test"]).finally(reload)} />`,
      [SECRET]: ({ name }, close) => html`<${Rotation} name=${name} onClose=${close} />`,
    })}><${ActionButton} right="admin" onClick=${onAdd}>Add channel<//><//>`;
}

/** @param {{ name: string, onClose: () => void }} props */
function Rotation({ name, onClose }) {
  const [secret, setSecret] = useState("");
  if (secret) return html`<${Secret} name=${name} secret=${secret} onClose=${onClose} />`;
  return html`<${Confirm} title=${`Make a new secret for ${name}?`} action="Make a new secret" danger=${false}
    onClose=${onClose} onConfirm=${async () => {
      setSecret((await post(["alert-channels", name, "secret"])).secret ?? "");
      return false;
    }}><p>For 24 hours requests have a signature by the old secret, too.</p><//>`;
}

/** @param {{ name: string, secret: string, onClose: () => void }} props */
const Secret = ({ name, secret, onClose }) => html`<${ShownOnce} title=${`Secret of the channel ${name}`}
  secret=${secret} onClose=${onClose}>The receiver checks signatures with it.<//>`;

/** @param {{ channel?: Api.AlertChannel, onClose: () => void, onDone: () => Promise<unknown> }} props */
export function ChannelForm({ channel, onClose, onDone }) {
  const [type, setType] = useState(channel?.type ?? "slack");
  const [made, setMade] = useState(/** @type {Api.AlertChannel | null} */ (null));
  const save = async (/** @type {Fields} */ { name, type: _, ...fields }) => {
    const body = channelOf(fields);
    if (channel) return patch(["alert-channels", channel.name], body).then(onDone);
    const added = await post("alert-channels", { ...body, name: name.trim(), type });
    await onDone();
    if (!added.secret) return true;
    setMade(added);
    return false;
  };
  if (made) return html`<${Secret} name=${made.name} secret=${made.secret} onClose=${onClose} />`;
  const { every, interval = 60 } = TYPES[type] ?? {};
  return html`<${FormDialog} title=${channel ? `Edit the channel ${channel.name}` : "Add a channel"}
    action=${channel ? "Save" : "Add"} onClose=${onClose} onSave=${save}>
    ${!channel && html`<${Choices} legend="Type" name="type" chosen=${type} onChoose=${setType}
      options=${Object.entries(TYPES).map(([one, { what }]) => [one, what])} /><${NameField} sample="ops" />`}
    ${type === "mail" ? html`<${MailFields} channel=${channel} />`
      : html`<${TypeFields} key=${type} type=${type} channel=${channel} />`}
    <label class="inline"><input type="checkbox" name="shared" defaultChecked=${channel?.shared ?? false} />
      Managers of DAGs may use it in their rules</label>
    ${every ? html`<label>Seconds between two signs of life<input name="every" type="number" min="10" max="86400"
        defaultValue=${channel ? channel.everySeconds : every} />
        <small>Without a number it only gets what rules report</small></label>`
      : html`<label>Seconds between two messages<input name="interval" type="number" min="0" max="86400"
        placeholder=${interval} defaultValue=${channel?.intervalSeconds ?? ""} />
        ${interval > 0 && html`<small>What comes meanwhile goes into one message</small>`}</label>`}<//>`;
}

/** @param {{ type: string, channel?: Api.AlertChannel }} props */
function TypeFields({ type, channel }) {
  const { url, secret, to, mayLack = false, every } = TYPES[type] ?? {};
  return html`${url && html`<label>URL<input name="url" type="url" required=${!every} placeholder=${url}
      autocomplete="off" defaultValue=${channel?.url ?? ""} /></label>`}
    ${secret && html`<label>${secret}<input name="secret" type="password" required=${!channel && !mayLack}
      autocomplete="new-password" /><small>It is a secret, and is not shown again.
      ${channel && ` Leave it empty to keep ${channel.host ? `the one at ${channel.host}` : "it as it is"}.`}</small>
      </label>`}
    ${to && html`<label>${to}<input name="to" required maxlength="64" autocomplete="off"
      defaultValue=${channel?.to?.join(", ") ?? ""} /></label>`}
    ${every && html`<label class="inline"><input type="checkbox" name="fail" defaultChecked=${channel?.fail ?? true} />
      Report failures, to the address with /fail</label>`}`;
}

/** @param {{ channel?: Api.AlertChannel }} props */
function MailFields({ channel: { to = [], from = "", smtp } = /** @type {Api.AlertChannel} */ ({}) }) {
  return html`<label>To, one address a line<textarea name="to" rows="2" required
      placeholder="ops@example.org" defaultValue=${to.join("\n")}></textarea></label>
    <label>From<input name="sender" placeholder="as in the base configuration" autocomplete="off"
      defaultValue=${from} /></label>
    <details open=${Boolean(smtp)}><summary>A mail server of its own</summary>
      <label>Host<input name="host" placeholder="smtp of the base configuration" autocomplete="off"
        defaultValue=${smtp?.host ?? ""} /></label>
      <label>Port<input name="port" inputmode="numeric" placeholder="25" autocomplete="off"
        defaultValue=${smtp?.port ?? ""} /></label>
      <label>User<input name="username" autocomplete="off" defaultValue=${smtp?.username ?? ""} /></label>
      <label>Password<input name="secret" type="password" autocomplete="new-password"
        placeholder=${smtp ? "unchanged" : ""} /></label></details>`;
}
