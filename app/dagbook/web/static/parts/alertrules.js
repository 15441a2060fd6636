// Rules of alerts: what they report of which DAGs to whom, and the form to change them.

import { html, useState } from "../vendor/core.js";
import { post, put, remove } from "../lib/api.js";
import { KINDS, REMINDERS, asRequest, limitsOf, reminderText, ruleOf, targetOf, targetsText } from "../lib/alerts.js";
import { plural } from "../lib/format.js";
import { may } from "../lib/session.js";
import { ActionButton, Table } from "./basic.js";
import { DagName } from "./dagname.js";
import { Confirm, FormDialog } from "./form.js";
import { Menu } from "./menu.js";
import { attempt } from "./notice.js";
import { AlertTest } from "./receipts.js";

/** @typedef {{ kind: "edit" | "test" | "remove", rule: Api.AlertRule }} Asked */

const DAY = 86_400; // seconds
const CONFIGURED = "It is in the setting alert_rules: change it there";

/** Whether the user may change a rule: those for several DAGs are the admins'. @param {Api.AlertRule} rule */
const mayChange = ({ dag }) => may("admin") || (may("manage") && Boolean(dag));

/**
 * `why` says why no rule can be added now.
 * @param {{ rules: Api.AlertRule[], channels: Api.AlertChannel[], why: string, reload: () => Promise<unknown>,
 *   onAdd: () => void }} props
 */
export function RuleList({ rules, channels, why, reload, onAdd }) {
  const [asked, setAsked] = useState(/** @type {Asked | null} */ (null));
  const close = () => setAsked(null);
  const hasActions = rules.some(mayChange);
  const heads = ["Rule", "DAGs", "Reports", "Channels"];
  return html`<section aria-label="Rules"><div class="row"><h2>Rules</h2><span class="grow"></span>
      <${ActionButton} right="manage" disabled=${Boolean(why)} title=${why} onClick=${onAdd}>Add rule<//></div>
    <${Table} heads=${[...heads, ...(hasActions ? ["Actions"] : [])]}>
      ${rules.map((rule) => html`<tr key=${rule.name}>
        <td class="wide-text">${rule.name}${!rule.enabled && html` <span class="tag">disabled</span>`}</td>
        <td class="wide-text">${rule.match.map((word) => html`<code key=${word}>${word}</code> `)}
          <div class="sub">covers ${plural(rule.covers ?? 0, "DAG")}</div></td>
        <td class="wide-text">${rule.on.join(", ")}<div class="sub">${limitsOf(rule)}</div></td>
        <td class="wide-text" data-label="to">${targetsText(rule.to)}</td>
        ${hasActions && html`<td class="actions"><${Menu} label=${`Actions of the rule ${rule.name}`}
          items=${mayChange(rule) ? itemsOf(rule, reload, setAsked) : []} /></td>`}</tr>`)}<//>
    ${asked?.kind === "edit" && html`<${RuleForm} rule=${asked.rule} channels=${channels} onClose=${close}
      onDone=${reload} />`}
    ${asked?.kind === "test" && html`<${RuleTest} name=${asked.rule.name} dag=${asked.rule.dag} onClose=${close} />`}
    ${asked?.kind === "remove" && html`<${Confirm} title=${`Remove the rule ${asked.rule.name}?`} action="Remove"
      onClose=${close} onConfirm=${() => remove(["alert-rules", asked.rule.name]).then(reload)}>
      <p>Alerts that are open stay open until they end.</p><//>`}</section>`;
}

/** @param {{ name: string, dag?: string, onClose: () => void }} props */
export const RuleTest = ({ name, dag = "", onClose }) => html`<${AlertTest} title=${`Test the rule ${name}`} dag=${dag}
  onClose=${onClose} send=${(/** @type {string} */ about) => post(["alert-rules", name, "test"], { dag: about })} />`;

/**
 * @param {Api.AlertRule} rule
 * @param {() => Promise<unknown>} reload
 * @param {(asked: Asked) => void} ask
 */
function itemsOf(rule, reload, ask) {
  const { name, enabled, configured } = rule;
  const fixed = configured && CONFIGURED;
  const turn = () => put(["alert-rules", name], { ...asRequest(rule), enabled: !enabled }).then(reload);
  return [
    { title: "Send a test…", disabled: !enabled && "It is disabled", onChoose: () => ask({ kind: "test", rule }) },
    { title: "Edit…", disabled: fixed, onChoose: () => ask({ kind: "edit", rule }) },
    { title: enabled ? "Disable" : "Enable", disabled: fixed,
      onChoose: () => attempt(turn, `The rule ${name} is ${enabled ? "disabled" : "enabled"}.`) },
    { title: "Remove…", danger: true, disabled: fixed, onChoose: () => ask({ kind: "remove", rule }) },
  ];
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
    ${!rule && html`<label>Name<input name="name" required maxlength="64" pattern="[A-Za-z0-9_.\\-]+"
      autocomplete="off" defaultValue=${name} /></label>`}
    ${isForOne ? html`<label>DAG<${DagName} value=${rule?.dag ?? dag} /></label>`
      : html`<label>DAGs<input name="match" required autocomplete="off"
        defaultValue=${rule?.match.join(", ") ?? (dag || "*")} />
        <small>Names, with * for any text, and tag:NAME; ! before a word leaves out, as in <code>*, !play-*</code>
        </small></label>`}
    <fieldset><legend>Report</legend>${KINDS.map(([kind, what]) => html`<label class="inline" key=${kind}>
      <input type="checkbox" name=${`on ${kind}`} defaultChecked=${rule ? rule.on.includes(kind) : kind === "failed"} />
      ${kind}<span class="faint">${what}</span></label><br />`)}</fieldset>
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
