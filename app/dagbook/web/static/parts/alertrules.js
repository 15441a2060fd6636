// Rules of alerts: what they report of which DAGs to whom, and the form to change them.

import { html, useState } from "../vendor/core.js";
import { post, put } from "../lib/api.js";
import {
  REMINDERS,
  asRequest,
  kindsFor,
  limitsOf,
  reminderText,
  ruleOf,
  targetOf,
  targetsText,
  valuesFor,
} from "../lib/alerts.js";
import { plural } from "../lib/format.js";
import { may } from "../lib/session.js";
import { ItemList, NameField } from "./alertitems.js";
import { ActionButton, Select } from "./basic.js";
import { DagName } from "./dagname.js";
import { FormDialog } from "./form.js";
import { AlertTest } from "./receipts.js";

const DAY = 86_400; // seconds

/** Why no rule can be added now; empty if one can. @param {Api.AlertChannel[]} channels */
export const whyNoRule = (channels) =>
  (channels.length ? "" : may("admin") ? "Add a channel first" : "No channel is shared: ask an admin");

/** Whether the user may test a rule, and unless it is in the settings change it. @param {Api.AlertRule} rule */
export const mayTest = ({ mayChange, configured }) => mayChange || (configured && may("admin"));

/**
 * `words` are those by which they cover one DAG, by the names of the rules; `why` says why none can be added now.
 * @param {{ title?: string, rules: Api.AlertRule[], channels: Api.AlertChannel[], words?: Map<string, string>,
 *   why: string, reload: () => Promise<unknown>, onAdd: () => void, children?: Children }} props
 */
export function RuleList({ title = "Rules", rules, channels, words, why, reload, onAdd, children }) {
  return html`<${ItemList} noun="rule" title=${title} items=${rules} reload=${reload} mayUse=${mayTest}
    removed="Alerts that are open stay open until they end."
    heads=${["Rule", words ? "By its word" : "DAGs", "Reports", "Channels"]}
    cells=${(/** @type {Api.AlertRule} */ rule) => html`
      <td class="wide-text">${rule.name}${!rule.enabled && html` <span class="tag">disabled</span>`}
        ${rule.configured && html` <span class="tag">from the settings</span>`}</td>
      ${words ? html`<td class="wide-text" data-label="by"><code>${words.get(rule.name)}</code></td>`
        : html`<td class="wide-text">${rule.match.map((word) => html`<code key=${word}>${word}</code> `)}
          <div class="sub">covers ${plural(rule.covers ?? 0, "DAG")}</div></td>`}
      <td class="wide-text">${rule.on.join(", ")}${rule.covers !== undefined && html`<div class="sub">${limitsOf(rule)}
        </div>`}</td>
      <td class="wide-text" data-label="to">${targetsText(rule.to)}</td>`}
    turn=${(/** @type {Api.AlertRule} */ rule) =>
      put(["alert-rules", rule.name], { ...asRequest(rule), enabled: !rule.enabled })}
    dialogs=${/** @type {Record<string, (rule: Api.AlertRule, close: () => void) => Children>} */ ({
      edit: (rule, close) => html`<${RuleForm} rule=${rule} channels=${channels} onClose=${close} onDone=${reload} />`,
      test: (rule, close) => html`<${RuleTest} names=${[rule.name]} dag=${rule.dag} onClose=${close} />`,
    })}>${children}<${ActionButton} right="manage" disabled=${Boolean(why)} title=${why} onClick=${onAdd}>Add rule<//>
    <//>`;
}

/** A test of one of some rules. @param {{ names: string[], dag?: string, onClose: () => void }} props */
export function RuleTest({ names, dag = "", onClose }) {
  const [name, setName] = useState(names[0]);
  return html`<${AlertTest} title=${`Test the rule ${name}`} dag=${dag} onClose=${onClose}
    send=${(/** @type {string} */ about) => post(["alert-rules", name, "test"], { dag: about })}>
    ${names.length > 1 && html`<label>Rule<${Select} value=${name} options=${names.map((one) => [one, one])}
      onSet=${setName} /></label>`}<//>`;
}

/**
 * `name` and `dag` are what a new rule begins with. A rule of a manager is for one DAG.
 * @param {{ rule?: Api.AlertRule, name?: string, dag?: string, channels: Api.AlertChannel[], onClose: () => void,
 *   onDone: (name: string) => Promise<unknown> }} props
 */
export function RuleForm({ rule, name = "", dag = "", channels, onClose, onDone }) {
  const save = async (/** @type {Fields} */ fields) => {
    const body = ruleOf(fields);
    const saved = rule ? await put(["alert-rules", rule.name], { ...body, enabled: rule.enabled })
      : await post("alert-rules", { ...body, name: fields.name.trim() });
    await onDone(saved.name);
  };
  const isForOne = rule ? Boolean(rule.dag) : !may("admin");
  return html`<${FormDialog} title=${rule ? `Edit the rule ${rule.name}` : "Add a rule"} action=${rule ? "Save" : "Add"}
    onClose=${onClose} onSave=${save}>
    ${!rule && html`<${NameField} value=${name} />`}
    ${isForOne ? html`<label>DAG<${DagName} value=${rule?.dag ?? dag} /></label>`
      : html`<label>DAGs<input name="match" required autocomplete="off"
        defaultValue=${rule?.match.join(", ") ?? (dag || "*")} />
        <small>Names, with * for any text, and tag:NAME; ! before a word leaves out, as in <code>*, !play-*</code>
        </small></label>`}
    <fieldset><legend>Report</legend>${kindsFor(isForOne).map(({ kind, what, sample }) => html`<div class="row"
      key=${kind}><label class="inline grow">${!sample && html`<input type="checkbox" name=${`on ${kind}`}
        defaultChecked=${rule ? rule.on.includes(kind) : kind === "failed"} />`}${kind}
        <span class="faint">${what}</span>${sample && html`<span class="grow"></span><input name=${`with ${kind}`}
          size="8" placeholder=${`as ${sample}`} autocomplete="off" defaultValue=${valuesFor(rule?.on ?? [], kind)} />`}
        </label></div>`)}</fieldset>
    <${Targets} channels=${channels} to=${(rule?.to ?? []).map(targetOf)} />
    <details open=${Boolean(rule && (rule.after > 1 || rule.quiet))}><summary>When</summary>
      <label>From how many in a row on<input name="after" type="number" min="1" max="1000" required
        defaultValue=${rule?.after ?? 1} /></label>
      <label>Reminder while it lasts<select name="remind">${remindersOf(rule?.remindSeconds ?? DAY)}</select></label>
      <label>Quiet hours<input name="quiet" placeholder="22:00-07:00 Europe/Berlin" autocomplete="off"
        defaultValue=${rule?.quiet ?? ""} /><small>What is due then is sent at their end</small></label></details><//>`;
}

/** The choices of a reminder; a time that is none of them is one more. @param {number} chosen seconds */
function remindersOf(chosen) {
  const all = [...new Set([...REMINDERS.map(([seconds]) => seconds), chosen])];
  return all.map((seconds) => html`<option key=${seconds} value=${seconds} selected=${seconds === chosen}>
    ${reminderText(seconds)}</option>`);
}

/**
 * Each channel with its delay; the only one is chosen.
 * @param {{ channels: Api.AlertChannel[], to: ReturnType<typeof targetOf>[] }} props
 */
function Targets({ channels, to }) {
  const chosen = new Map(to.map(({ channel, delay }) => [channel, delay]));
  return html`<fieldset><legend>Channels</legend>${channels.map(({ name, type }) => html`<div class="row" key=${name}>
    <label class="inline"><input type="checkbox" name=${`to ${name}`}
      defaultChecked=${chosen.has(name) || channels.length === 1} />${name}<span class="faint">${type}</span></label>
    <span class="grow"></span><input name=${`delay ${name}`} size="8" placeholder="at once" autocomplete="off"
      aria-label=${`Delay of ${name}`} title="Told after this time unless it has ended or is acknowledged, as in 15m"
      defaultValue=${chosen.get(name) ?? ""} /></div>`)}</fieldset>`;
}
