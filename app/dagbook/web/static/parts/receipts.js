// Messages about alerts with what became of them: those of a run in its header, and those of a test.

import { html, useEffect, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { aboutOf, answerOf, isOfEnd, lookOfReceipt, nextLook, toldText } from "../lib/alerts.js";
import { instant } from "../lib/format.js";
import { href } from "../lib/router.js";
import { isOf, pathOf } from "../lib/runs.js";
import { may } from "../lib/session.js";
import { RUN } from "../lib/status.js";
import { useApi } from "../lib/use-api.js";
import { DagName } from "./dagname.js";
import { ActionButton, Dialog, Status, Table, Time } from "./basic.js";
import { FormDialog } from "./form.js";
import { attempt } from "./notice.js";

const ROUTING = 15_000; // milliseconds after the end of a run in which its messages are made
const SOON = 2000;

/**
 * Load again when a message that is pending may have been sent: pages hear of changes of runs, not of messages.
 * @param {object | null} data
 * @param {number | null} wait milliseconds
 * @param {Reload} reload
 */
export function useLater(data, wait, reload) {
  useEffect(() => {
    if (!data || wait === null) return undefined;
    const timer = setTimeout(reload, wait);
    return () => clearTimeout(timer);
  }, [data]);
}

/** Who was told that a run did not succeed, in the line of its header. @param {{ run: Run }} props */
export function Told({ run }) {
  const address = { name: run.name, runId: run.dagRunId };
  const { data, error, reload } = useApi([...pathOf(address), "alerts"], {}, (change) => isOf(address, change));
  const [open, setOpen] = useState(false);
  const receipts = data?.receipts ?? [];
  const now = Date.now();
  const isFresh = now - (instant(run.finishedAt)?.getTime() ?? 0) < ROUTING;
  useLater(data, nextLook(receipts, now) ?? (isFresh && data?.rules.length && !receipts.length ? SOON : null), reload);
  if (!data) return error && html`<span class="faint">unknown</span>`;
  const isFailed = run.status === RUN.FAILED;
  const ofEnd = receipts.filter(isOfEnd);
  const why = href(["dags", run.name, "alerts"]);
  if (!data.covered && !ofEnd.length) return html`<a class=${isFailed ? "bad" : "faint"}
    href=${why}>${isFailed ? "nobody is told of this" : "no channel"}</a>`;
  const { text, tone } = toldText(ofEnd);
  const isByMail = !ofEnd.length && !data.rules.length;
  return html`<button type="button" class="tag" aria-haspopup="dialog" onClick=${() => setOpen(true)}>
      <span class=${tone}>${isByMail ? "by a mail of its definition" : text}</span></button>
    ${open && html`<${Dialog} title="Messages about this run" wide onClose=${() => setOpen(false)}>
      <div class="body">${receipts.length
        ? html`<${Receipts} receipts=${receipts} reload=${reload} steps=${run.nodes.map(({ step }) => step.name)} />`
        : html`<p>${data.rules.length ? `It is covered by ${data.rules.join(", ")}, but there is no message: a rule can
          wait for several failures in a row.` : "Its definition sends a mail, of which there is no message yet."}</p>`}
        <p><a href=${why}>Alerts of ${run.name}</a></p></div><//>`}`;
}

/**
 * Without `reload` none can be sent again; `steps` are the names of the steps of their run.
 * @param {{ receipts: Api.AlertReceipt[], reload?: Reload, steps?: string[], ofAll?: boolean }} props
 */
export function Receipts({ receipts, reload, steps = [], ofAll }) {
  const resend = (/** @type {Api.AlertReceipt} */ { id, channel }) => attempt(async () => {
    await post(["alert-deliveries", id, "resend"]);
    await reload?.();
  }, `The message is sent to ${channel} again.`);
  const mayResend = reload && may("run");
  const heads = ["Channel", ...(ofAll ? ["DAG"] : []), "About", "State", "When", "#Tries", "Last answer"];
  return html`<${Table} heads=${[...heads, ...(mayResend ? ["Actions"] : [])]}>
    ${receipts.map((one) => html`<tr key=${one.id}>
      <td>${one.channel} <span class="faint">${one.type}</span></td>
      ${ofAll && html`<td class="wide-text">${one.dag && html`<a href=${href(["dags", one.dag, "alerts"])}>${one.dag}
        </a>`}</td>`}
      <td class="wide-text">${aboutOf(one, steps)}</td>
      <td><${Status} look=${lookOfReceipt(one)} /></td>
      <td>${one.nextTryAt && (one.tries ? "next try " : "due ")}<${Time}
        at=${one.nextTryAt ?? one.sentAt ?? one.dueAt} /></td>
      <td class="number" data-label="tries">${one.tries}</td>
      <td class="wide-text faint">${answerOf(one)}</td>
      ${mayResend && html`<td class="actions"><${ActionButton} disabled=${one.status === "pending"}
        title=${one.status === "pending" ? "It is sent without this" : undefined}
        aria-label=${`Resend to ${one.channel}`} onClick=${() => resend(one)}>Resend<//></td>`}</tr>`)}<//>`;
}

/**
 * A test by a real event: `send` gets the DAG that it is about, if there is to be one; `children` are more fields.
 * @param {{ title: string, dag?: string, send: (dag: string) => Promise<Api.AlertTest>, onClose: () => void,
 *   children?: Children }} props
 */
export function AlertTest({ title, dag, send, onClose, children }) {
  const [tested, setTested] = useState(/** @type {Api.AlertTest | "sending" | null} */ (null));
  const test = async (/** @type {Fields} */ fields) => {
    setTested("sending");
    try {
      setTested(await send((fields.dag ?? "").trim()));
    } catch (error) {
      setTested(null);
      throw error;
    }
    return false;
  };
  return html`<${FormDialog} title=${title} action="Send a test" wide onClose=${onClose} onSave=${test}>
    <p>A real event that is marked as a test goes the way of all others, and opens no alert.</p>
    ${children}
    ${dag !== undefined && html`<label>DAG<${DagName} value=${dag} /></label>`}
    <div role="status">${tested === "sending" ? "Waits for the answer, 20 seconds at most…" : tested && html`
      <p class=${tested.told ? "good" : "bad"}>${tested.told ? "Told." : tested.receipts.length
        ? "Not told yet: it is tried again." : `No channel was told: ${tested.outcome}.`}</p>
      ${tested.receipts.length > 0 && html`<${Receipts} receipts=${tested.receipts} />`}`}</div><//>`;
}
