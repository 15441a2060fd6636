// Alerts: what is wrong and who was told, who is told when a DAG fails, rules, and channels.

import { html, useState } from "../vendor/core.js";
import { post } from "../lib/api.js";
import { KINDS, lookOfKind, nextLook, targetsText, toldText } from "../lib/alerts.js";
import { matching } from "../lib/filter-text.js";
import { href, query, setQuery } from "../lib/router.js";
import { pageOf } from "../lib/runs.js";
import { hasGrants, may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { useApi, useReady } from "../lib/use-api.js";
import { ChannelForm, ChannelList } from "../parts/alertchannels.js";
import { RuleForm, RuleList, RuleTest } from "../parts/alertrules.js";
import { ActionButton, Dialog, Empty, Loading, StatusIcon, Table, Time, whenLoaded } from "../parts/basic.js";
import { DagName } from "../parts/dagname.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { FormDialog, valuesOf } from "../parts/form.js";
import { Menu } from "../parts/menu.js";
import { Receipts, useLater } from "../parts/receipts.js";

/** @import { Filter, FilterKeys } from "../../types/ui" */
/** @typedef {{ kind: "channel" } | { kind: "rule", dag?: string } | { kind: "test", rule: string }} Adding */

/** @type {Record<string, string>} */
const STATES = { open: "true", ended: "false", any: "" };
/** @type {FilterKeys} */
const KEYS = {
  "": { param: "subject", hint: "part of the name of a DAG" },
  dag: { param: "dag", hint: "nightly" },
  kind: { param: "kind", hint: "failed", values: KINDS.map(([kind]) => [kind, kind]), pick: "Kind", any: "any kind" },
  state: { param: "open", hint: "ended", values: [["ended", "ended"], ["any", "open and ended"]], pick: "State",
    any: "open", read: readState, old: {} },
};

/** @param {string} value */
function readState(value) {
  if (Object.hasOwn(STATES, value)) return STATES[value];
  throw new Error(`"${value}" is none of ${Object.keys(STATES).join(", ")}`);
}

/** @type {Concerns} */
const onRun = (change) => change.kind === "run" && !change.root;

export default function Alerts() {
  useTitle("Alerts");
  const filter = useFilter(KEYS);
  const { subject = "", ...asked } = filter.params;
  const name = query.value.get("explain") ?? "";
  const found = useApi("alerts", { open: STATES.open, ...asked }, onRun);
  const rules = useApi("alert-rules");
  const channels = useApi("alert-channels");
  const explained = useApi(name ? ["dags", name, "alerts"] : null);
  const [adding, setAdding] = useState(/** @type {Adding | null} */ (null));
  useLater(found.data, nextLook((found.data?.alerts ?? []).flatMap(({ told }) => told), Date.now()), found.reload);
  if (!useReady(found, rules, channels, explained)) return html`<h1>Alerts</h1><${Loading} what="alerts" />`;
  const reload = () => Promise.all([rules.reload(), channels.reload(), explained.reload()]);
  const close = () => setAdding(null);
  return html`<h1>Alerts</h1>
    ${whenLoaded(rules, "rules", ({ rules: allRules }) => whenLoaded(channels, "channels", ({ channels: all }) => {
      const isNew = !allRules.length && !hasGrants.value;
      const why = all.length ? "" : may("admin") ? "Add a channel first" : "No channel is shared: ask an admin";
      return html`
        ${isNew && html`<${FirstSteps} channels=${all} why=${why} onAdd=${setAdding} />`}
        ${(!isNew || filter.text || (found.data?.alerts.length ?? 0) > 0) && html`
          <${FilterBox} label="Filter alerts" filter=${filter} />
          ${whenLoaded(found, "alerts", (page) => html`<${List} page=${page} subject=${subject} filter=${filter}
            reload=${found.reload} />`)}`}
        <${WhoIsTold} name=${name} loaded=${explained} why=${why}
          onAdd=${() => setAdding({ kind: "rule", dag: name })} />
        ${allRules.length > 0 && html`<${RuleList} rules=${allRules} channels=${all} why=${why} reload=${reload}
          onAdd=${() => setAdding({ kind: "rule" })} />`}
        ${all.length > 0 && html`<${ChannelList} channels=${all} rules=${allRules} reload=${reload}
          onAdd=${() => setAdding({ kind: "channel" })} />`}
        ${adding?.kind === "rule" && html`<${RuleForm} channels=${all} dag=${adding.dag} onClose=${close}
          name=${adding.dag ?? (isNew ? "all" : "")}
          onDone=${async (/** @type {string} */ rule) => {
            await reload();
            if (isNew) setTimeout(() => setAdding({ kind: "test", rule })); // the third step
          }} />`}
        ${adding?.kind === "test" && html`<${RuleTest} name=${adding.rule} onClose=${close} />`}`;
    }))}
    ${adding?.kind === "channel" && html`<${ChannelForm} onClose=${close} onDone=${reload} />`}`;
}

/**
 * The way to the first message about a failure.
 * @param {{ channels: Api.AlertChannel[], why: string, onAdd: (adding: Adding) => void }} props
 */
function FirstSteps({ channels, why, onAdd }) {
  if (!may("manage")) return html`<${Empty} title="Failures are not reported yet">
    <p>Ask an admin to add a channel and a rule.</p><//>`;
  return html`<p>Failures are not reported yet. Three steps change that:</p>
    <div class="cards first-steps">
      <section class="card"><h2>1. Where messages go</h2>
        <p>A channel is a chat, a program that gets JSON, or mail addresses.
          ${channels.length > 0 && ` There is ${channels.map(({ name }) => name).join(", ")}.`}</p>
        <${ActionButton} right="admin" class=${channels.length ? "" : "primary"}
          onClick=${() => onAdd({ kind: "channel" })}>Add channel<//></section>
      <section class="card"><h2>2. What is reported, and to whom</h2>
        <p>A rule names DAGs, what it reports, and channels. The first one can report the failures of all DAGs.</p>
        <${ActionButton} right="manage" class=${channels.length ? "primary" : ""} disabled=${Boolean(why)} title=${why}
          onClick=${() => onAdd({ kind: "rule" })}>Add rule<//></section>
      <section class="card"><h2>3. See it arrive</h2>
        <p>A test takes the way of a real failure, and shows what the receiver answered.</p>
        <${ActionButton} right="manage" disabled title="Add a rule first">Send a test<//></section></div>`;
}

/** @param {{ page: Api.Alerts, subject: string, filter: Filter, reload: Reload }} props */
function List({ page: { alerts, nextCursor }, subject, filter, reload }) {
  const [asked, setAsked] = useState(/** @type {{ kind: "note" | "messages", id: number } | null} */ (null));
  const close = () => setAsked(null);
  const one = alerts.find(({ id }) => id === asked?.id);
  const acknowledge = (/** @type {Api.Alert} */ { id }, /** @type {string} */ note) =>
    post(["alerts", String(id), "acknowledge"], { note }).then(reload);
  const rows = matching(alerts, { subject }, (alert) => ({ subject: alert.subject }));
  if (!rows.length) return filter.text ? html`<${NoMatch} filter=${filter} what="alert" />`
    : html`<${Empty} title="No alert is open">
      <p>A failure that a rule covers opens one; the next success ends it.</p><//>`;
  return html`<${Table} class="list" heads=${[html`<th><span class="visually-hidden">Kind</span></th>`, "DAG", "What",
      "Since", "Told", "Acknowledged", "Actions"]}>
      ${rows.map((alert) => html`<${Row} key=${alert.id} alert=${alert}
        onAsk=${(/** @type {"note" | "messages"} */ kind) => setAsked({ kind, id: alert.id })} />`)}<//>
    ${nextCursor && html`<p class="faint">Only the newest ${alerts.length} alerts are shown.</p>`}
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
  const { kind, subject, count, lastDagRunId: runId, acknowledgedBy: by, closedAt, told, note } = alert;
  const isOfDag = alert.subjectKind === "dag";
  const look = lookOfKind(kind);
  const { text, tone } = toldText(told);
  const items = [
    may("run") && { title: "Acknowledge…", onChoose: () => onAsk("note"),
      disabled: closedAt ? "It has ended" : by && `Acknowledged by ${by}` },
    { title: "Messages…", onChoose: () => onAsk("messages") },
    isOfDag && { title: "Who is told when it fails", href: href("/alerts", { explain: subject }) },
  ];
  return html`<tr>
    <td class="state"><${StatusIcon} look=${look} /></td>
    <td>${isOfDag ? html`<a class="wide-text" href=${href(runId ? pageOf({ name: subject, runId })
      : ["dags", subject])}>${subject}</a>` : subject}</td>
    <td>${look.word}${count > 1 && ` ${count} times`}</td>
    <td data-label="since"><${Time} at=${alert.openedAt} />
      ${closedAt && html`, ended <${Time} at=${closedAt} />`}</td>
    <td class="wide-text" data-label="told"><span class=${tone === "good" ? "" : tone}>${text}</span></td>
    <td class="wide-text">${by && html`by ${by}${note && html`<span class="faint">: ${note}</span>`}`}</td>
    <td class="actions"><${Menu} label=${`Actions of the alert about ${subject}`} items=${items} /></td></tr>`;
}

/**
 * Whom a failure of a DAG reaches, by the rules as they are now.
 * @param {{ name: string, loaded: import("../lib/use-api.js").Loading<Api.DAGAlerts>, why: string,
 *   onAdd: () => void }} props
 */
function WhoIsTold({ name, loaded, why, onAdd }) {
  const ask = (/** @type {FormSubmit} */ event) => {
    event.preventDefault();
    setQuery({ explain: valuesOf(event.target).dag.trim() });
  };
  return html`<section aria-label="Who is told"><h2>Who is told when a DAG fails?</h2>
    <form class="row" onSubmit=${ask}><label class="inline">DAG<${DagName} key=${name} value=${name} /></label>
      <button type="submit">Show</button></form>
    ${name && whenLoaded(loaded, "rules", (found) => {
      const telling = found.rules.filter(({ on }) => on.includes("failed"));
      const others = found.rules.filter((rule) => !telling.includes(rule));
      return html`<ul class="plain">${telling.map((rule) => html`<li key=${rule.name}>The rule ${rule.name} reports it
          to <strong>${targetsText(rule.to)}</strong>, by its word <code>${rule.word}</code>.</li>`)}
        ${!telling.length && html`<li class="bad">No rule reports a failure of ${name}${
          found.reasons.length ? `: ${found.reasons.join("; ")}` : ""}.</li>`}
        ${others.map((rule) => html`<li class="faint" key=${rule.name}>The rule ${rule.name} covers it, and
          reports ${rule.on.join(", ")}.</li>`)}
        <li class="faint">Mails that its definition sends (<code>mailOn</code>) come beside that.</li></ul>
        ${!telling.length && may("manage", name) && html`<${ActionButton} disabled=${Boolean(why)} title=${why}
          onClick=${onAdd}>Add a rule for ${name}<//>`}`;
    }, (error) => html`<p class="bad">${error.message}.</p>`)}</section>`;
}
