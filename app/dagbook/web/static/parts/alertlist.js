// A table of alerts: what is or was wrong, since when, who was told, and who has acknowledged it.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { lookOfKind, nextLook, toldText } from "../lib/alerts.js";
import { href } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { Dialog, StatusIcon, Table, Time } from "./basic.js";
import { FormDialog } from "./form.js";
import { Menu } from "./menu.js";
import { Receipts, useLater } from "./receipts.js";

/** The pages of what is no DAG, by its name. @type {Record<string, (name: string) => string | string[]>} */
const PLACES = { queue: () => "/queues", service: () => "/workers", trigger: (name) => ["triggers", name] };

/**
 * Reload alerts when one of their messages may have been sent.
 * @param {Api.Alert[] | undefined} alerts
 * @param {Reload} reload
 */
export const useTold = (alerts, reload) =>
  useLater(alerts ?? null, nextLook((alerts ?? []).flatMap(({ told }) => told), Date.now()), reload);

/** @param {{ alerts: Api.Alert[], reload: Reload }} props */
export function AlertList({ alerts, reload }) {
  const [asked, setAsked] = useState(/** @type {{ kind: "note" | "messages", id: number } | null} */ (null));
  const close = () => setAsked(null);
  const one = alerts.find(({ id }) => id === asked?.id);
  const acknowledge = (/** @type {Api.Alert} */ { id }, /** @type {string} */ note) =>
    post(["alerts", String(id), "acknowledge"], { note }).then(reload);
  return html`<${Table} class="list" heads=${[html`<th><span class="visually-hidden">Kind</span></th>`, "About", "What",
      "Since", "Told", "Acknowledged", "Actions"]}>
      ${alerts.map((alert) => html`<${Row} key=${alert.id} alert=${alert}
        onAsk=${(/** @type {"note" | "messages"} */ kind) => setAsked({ kind, id: alert.id })} />`)}<//>
    ${one && asked?.kind === "note" && html`<${FormDialog} title=${`Acknowledge the alert about ${one.subject}`}
      action="Acknowledge" onClose=${close}
      onSave=${(/** @type {Fields} */ { note }) => acknowledge(one, note)}>
      <p>No reminder follows, and channels with a delay are not told.</p>
      <label>Note<input name="note" maxlength="1000" placeholder="What is being done" autocomplete="off" />
      </label><//>`}
    ${one && asked?.kind === "messages" && html`<${Dialog} title=${`Messages about ${one.subject}`} wide
      onClose=${close}><div class="body">${one.told.length > 0
        ? html`<${Receipts} receipts=${one.told} reload=${reload} />`
        : html`<p>None yet: the rule waits for more failures in a row.</p>`}</div><//>`}`;
}

/** @param {{ alert: Api.Alert, onAsk: (kind: "note" | "messages") => void }} props */
function Row({ alert, onAsk }) {
  const { kind, subject, subjectKind, count, lastDagRunId: runId, acknowledgedBy: by, closedAt, told, note } = alert;
  const isOfDag = subjectKind === "dag";
  const page = isOfDag ? href(runId ? pageOf({ name: subject, runId }) : ["dags", subject])
    : PLACES[subjectKind] && href(PLACES[subjectKind](subject));
  const look = lookOfKind(kind);
  const { text, tone } = toldText(told);
  const items = [
    alert.mayAcknowledge && { title: "Acknowledge…", onChoose: () => onAsk("note"),
      disabled: closedAt ? "It has ended" : by && `Acknowledged by ${by}` },
    { title: "Messages…", onChoose: () => onAsk("messages") },
    isOfDag && { title: "Rules and alerts of this DAG", href: href(["dags", subject, "alerts"]) },
  ];
  return html`<tr>
    <td class="state"><${StatusIcon} look=${look} /></td>
    <td>${page ? html`<a class="wide-text" href=${page}>${subject}</a>` : subject}
      ${!isOfDag && html` <span class="faint">${subjectKind}</span>`}</td>
    <td class="wide-text">${look.word}${count > 1 && ` ${count} times`}
      ${alert.reason && html`<div class="sub">${alert.reason}</div>`}</td>
    <td data-label="since"><${Time} at=${alert.openedAt} />
      ${closedAt && html`, ended <${Time} at=${closedAt} />`}</td>
    <td class="wide-text" data-label="told"><span class=${tone === "good" ? "" : tone}>${text}</span></td>
    <td class="wide-text">${by && html`by ${by}${note && html`<span class="faint">: ${note}</span>`}`}</td>
    <td class="actions"><${Menu} label=${`Actions of the alert about ${subject}`} items=${items} /></td></tr>`;
}
