// Channels of alerts: where messages go, whether their receivers answer, and the forms to change them.

import { html, useState } from "../vendor/core.js";
import { patch, post, remove } from "../lib/api.js";
import { channelOf, lookOfChannel, targetOf } from "../lib/alerts.js";
import { may } from "../lib/session.js";
import { ActionButton, Status, Table, Time } from "./basic.js";
import { Choices, Confirm, FormDialog } from "./form.js";
import { Menu } from "./menu.js";
import { attempt } from "./notice.js";
import { AlertTest } from "./receipts.js";
import { ShownOnce } from "./shownonce.js";

/** @typedef {{ kind: "edit" | "test" | "secret" | "remove", channel: Api.AlertChannel }} Asked */

/** @type {[type: string, what: string][]} */
const TYPES = [["slack", "a message in a chat"], ["webhook", "JSON for a program, signed"], ["mail", "a mail"]];
const CONFIGURED = "It is in the setting alert_channels: change it there";

/** @param {Api.AlertChannel} channel */
const placeOf = ({ url, host, to }) => url ?? host ?? to?.join(", ") ?? "";

/**
 * @param {{ channels: Api.AlertChannel[], rules: Api.AlertRule[], reload: () => Promise<unknown>, onAdd: () => void
 *   }} props
 */
export function ChannelList({ channels, rules, reload, onAdd }) {
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const close = () => setAsked(null);
  const mayChange = may("admin");
  const heads = ["Channel", "Type", ...(mayChange ? ["Leads to"] : []), "State", "Last message"];
  return html`<section aria-label="Channels"><div class="row"><h2>Channels</h2><span class="grow"></span>
      <${ActionButton} right="admin" onClick=${onAdd}>Add channel<//></div>
    <${Table} heads=${[...heads, ...(mayChange ? ["Actions"] : [])]}>
      ${channels.map((channel) => html`<tr key=${channel.name}>
        <td class="wide-text">${channel.name}${channel.shared && html` <span class="tag">shared</span>`}</td>
        <td>${channel.type}</td>
        ${mayChange && html`<td class="wide-text faint">${placeOf(channel)}</td>`}
        <td><${Status} look=${lookOfChannel(channel)} />
          ${channel.failingSince && html` since <${Time} at=${channel.failingSince} />`}</td>
        <td data-label="last message"><${Time} at=${channel.lastSentAt} /></td>
        ${mayChange && html`<td class="actions"><${Menu} label=${`Actions of the channel ${channel.name}`}
          items=${itemsOf(channel, rules, reload, setAsked)} /></td>`}</tr>`)}<//>
    ${asked?.kind === "edit" && html`<${ChannelForm} channel=${asked.channel} onClose=${close} onDone=${reload} />`}
    ${asked?.kind === "secret" && html`<${Rotation} name=${asked.channel.name} onClose=${close} />`}
    ${asked?.kind === "test" && html`<${AlertTest} title=${`Test the channel ${asked.channel.name}`} onClose=${close}
      send=${() => post(["alert-channels", asked.channel.name, "test"]).finally(reload)} />`}
    ${asked?.kind === "remove" && html`<${Confirm} title=${`Remove the channel ${asked.channel.name}?`} action="Remove"
      onClose=${close} onConfirm=${() => remove(["alert-channels", asked.channel.name]).then(reload)}>
      <p>What waits for it is not sent. The messages that it was sent stay in the history.</p><//>`}</section>`;
}

/**
 * @param {Api.AlertChannel} channel
 * @param {Api.AlertRule[]} rules
 * @param {() => Promise<unknown>} reload
 * @param {(asked: Asked) => void} ask
 * @returns {import("../../types/ui").MaybeItem[]}
 */
function itemsOf(channel, rules, reload, ask) {
  const { name, type, enabled, configured } = channel;
  const fixed = configured && CONFIGURED;
  const using = rules.filter(({ to }) => to.some((text) => targetOf(text).channel === name));
  const turn = () => patch(["alert-channels", name], { enabled: !enabled }).then(reload);
  return [
    { title: "Send a test…", disabled: !enabled && "It is disabled", onChoose: () => ask({ kind: "test", channel }) },
    { title: "Edit…", disabled: fixed, onChoose: () => ask({ kind: "edit", channel }) },
    type === "webhook" && { title: "New secret…", disabled: fixed, onChoose: () => ask({ kind: "secret", channel }) },
    { title: enabled ? "Disable" : "Enable", hint: enabled ? "What waits for it is dropped" : "", disabled: fixed,
      onChoose: () => attempt(turn, `The channel ${name} is ${enabled ? "disabled" : "enabled"}.`) },
    { title: "Remove…", danger: true, onChoose: () => ask({ kind: "remove", channel }),
      disabled: fixed || (using.length > 0 && `Used by ${using.map((rule) => rule.name).join(", ")}`) },
  ];
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
  const save = async (/** @type {Fields} */ { name, ...fields }) => {
    const body = channelOf(fields, type);
    if (channel) return patch(["alert-channels", channel.name], body).then(onDone);
    const added = await post("alert-channels", { ...body, name: name.trim(), type });
    await onDone();
    if (!added.secret) return true;
    setMade(added);
    return false;
  };
  if (made) return html`<${Secret} name=${made.name} secret=${made.secret} onClose=${onClose} />`;
  return html`<${FormDialog} title=${channel ? `Edit the channel ${channel.name}` : "Add a channel"}
    action=${channel ? "Save" : "Add"} onClose=${onClose} onSave=${save}>
    ${!channel && html`<${Choices} legend="Type" name="type" options=${TYPES} chosen=${type} onChoose=${setType} />
      <label>Name<input name="name" required maxlength="64" pattern="[A-Za-z0-9_.\\-]+" placeholder="ops"
        autocomplete="off" /></label>`}
    ${type === "webhook" && html`<label>URL<input name="url" type="url" required placeholder="https://example.org/hook"
      autocomplete="off" defaultValue=${channel?.url ?? ""} /></label>`}
    ${type === "slack" && html`<label>Address of the incoming webhook<input name="secret" type="password"
      required=${!channel} autocomplete="new-password" /><small>It is a secret, and is not shown again.
      ${channel && ` Leave it empty to keep the one at ${channel.host}.`}</small></label>`}
    ${type === "mail" && html`<${MailFields} channel=${channel} />`}
    <label class="inline"><input type="checkbox" name="shared" defaultChecked=${channel?.shared ?? false} />
      Managers of DAGs may use it in their rules</label>
    <label>Seconds between two messages<input name="interval" type="number" min="0" max="86400"
      placeholder=${type === "webhook" ? "0" : "60"} defaultValue=${channel?.intervalSeconds ?? ""} />
      ${type !== "webhook" && html`<small>What comes meanwhile goes into one message</small>`}</label><//>`;
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
