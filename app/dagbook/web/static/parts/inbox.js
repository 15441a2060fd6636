// Inbox of failures: a row per DAG and reason, until it is marked as seen in this browser.

import { html, useState } from "../vendor/core.js";
import { plural } from "../lib/format.js";
import { isSeen, lookOfFailure } from "../lib/overview.js";
import { href } from "../lib/router.js";
import { retry } from "../lib/run-actions.js";
import { pageOf } from "../lib/runs.js";
import { Icon, StatusIcon, Table, Time, Truncated } from "./basic.js";
import { Confirm } from "./form.js";
import { Menu } from "./menu.js";

const MOST = 12; // rows, until all are asked for

/**
 * @param {{ found: Api.Overview, seen: import("../lib/overview.js").Seen, reload: Reload, words: string,
 *   onSeen: (groups: Api.FailureGroup[]) => void }} props
 */
export function Inbox({ found, seen, reload, words, onSeen }) {
  const [all, setAll] = useState(false);
  const [asked, setAsked] = useState(/** @type {Api.FailureGroup | null} */ (null));
  const isOld = (/** @type {Api.FailureGroup} */ group) => isSeen(seen, group);
  const order = found.failures.toSorted((one, other) => Number(one.fixed) - Number(other.fixed));
  const fresh = order.filter((group) => !isOld(group));
  const rows = all ? [...fresh, ...order.filter(isOld)] : fresh.slice(0, MOST);
  const hidden = order.length - rows.length;
  const listOf = (/** @type {Api.FailureGroup} */ { name }) =>
    href("/dag-runs", { name, status: "failed", fromDate: found.fromDate, toDate: found.toDate });
  return html`<section class="inbox" aria-label="Failures">
    <div class="row"><h2>Failures ${words}</h2><span class="grow"></span>
      ${fresh.length > 1 && html`<button type="button" onClick=${() => onSeen(fresh)}>Mark all as seen</button>`}</div>
    ${rows.length > 0 ? html`<${Table} class="list failures"
      heads=${["-State", "DAG", "Why", "How often", "Since", "Last good", "-Actions"]}>
      ${rows.map((group) => html`<${Row} key=${group.id} group=${group} list=${listOf(group)}
        old=${isOld(group)} onRetry=${() => setAsked(group)} onSeen=${() => onSeen([group])} />`)}<//>`
      : html`<p class="faint">${order.length ? "All were seen, and none has come since." : "None."}</p>`}
    <p class="faint">${hidden > 0 && html`<button type="button" class="quiet" onClick=${() => setAll(true)}>
        Show ${hidden} more${fresh.length < order.length ? ", also those that were seen" : ""}</button>`}
      ${found.failureGroups > order.length && html` The newest ${order.length} of ${found.failureGroups} reasons.`}</p>
    ${asked && html`<${Confirm} title=${`Retry ${asked.name}?`} action="Retry" danger=${false}
      onClose=${() => setAsked(null)}
      onConfirm=${() => retry({ name: asked.name, runId: asked.dagRunId }).then(reload)}>
      <p>The steps of the newest failed run that did not succeed run again, with the same parameters and the same
        definition.</p><//>`}</section>`;
}

/** @param {{ group: Api.FailureGroup, list: string, old: boolean, onRetry: () => void, onSeen: () => void }} props */
function Row({ group, list, old, onRetry, onSeen }) {
  const { name, reason, count, firstAt, dagRunId, lastGood, mayRetry, fixed } = group;
  const items = [
    mayRetry && { title: "Retry…", onChoose: onRetry },
    !old && { title: "Mark as seen", hint: "Hidden in this browser until it fails again", onChoose: onSeen },
    lastGood && !fixed && { title: "Compare with the last good run",
      href: href("/compare", { run: `${name}/${lastGood.dagRunId}`, with: `${name}/${dagRunId}` }) },
    { title: "Runs that failed", href: list },
  ];
  return html`<tr class=${old ? "old" : ""}>
    <td class="state"><${StatusIcon} look=${lookOfFailure(group)} /></td>
    <td><a class="wide-text" href=${href(pageOf({ name, runId: dagRunId }))}>${name}</a></td>
    <td class="about bad"><${Truncated} text=${reason} /></td>
    <td><a class="nowrap" href=${list}>${plural(count, "failure")}</a></td>
    <td data-label="since"><${Time} at=${firstAt} /></td>
    <td data-label=${fixed ? "fixed" : "last good"}>${lastGood ? html`<a class=${fixed ? "good" : ""}
        href=${href(pageOf({ name, runId: lastGood.dagRunId }))}><${Time} at=${lastGood.at} /></a>` : "never"}</td>
    <td class="actions">
      ${mayRetry && html`<button type="button" class="quiet on-hover" title="Retry…" aria-label=${`Retry ${name}`}
        onClick=${onRetry}><${Icon} name="retry" /></button>`}
      ${!old && html`<button type="button" class="quiet on-hover" title="Mark as seen" aria-label=${`Seen: ${name}`}
        onClick=${onSeen}><${Icon} name="check" /></button>`}
      <${Menu} label=${`Actions of ${name}`} items=${items} /></td></tr>`;
}
