// Alerts: what is wrong and who was told, rules, channels, and all messages.

import { html, useState } from "../vendor/core.js";
import { KINDS } from "../lib/alerts.js";
import { matching } from "../lib/filter-text.js";
import { query, setQuery } from "../lib/router.js";
import { hasGrants, may } from "../lib/session.js";
import { useTitle } from "../lib/title.js";
import { useApi, useReady } from "../lib/use-api.js";
import { ChannelForm, ChannelList } from "../parts/alertchannels.js";
import { AlertList, useTold } from "../parts/alertlist.js";
import { RuleForm, RuleList, RuleTest, whyNoRule } from "../parts/alertrules.js";
import { ActionButton, Empty, Loading, Tabs, whenLoaded } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Receipts } from "../parts/receipts.js";

/** @import { FilterKeys } from "../../types/ui" */
/** @typedef {{ kind: "channel" } | { kind: "rule" } | { kind: "test", rule: string }} Adding */

const TABS = [{ id: "alerts", title: "Alerts" }, { id: "messages", title: "Messages" }];
const STATES = { open: "true", ended: "false", any: "" };
const STATUSES = ["pending", "sent", "failed", "dropped"];
/** @type {FilterKeys} */
const KEYS = {
  "": { param: "subject", hint: "part of the name of a DAG" },
  dag: { param: "dag", hint: "nightly" },
  kind: { param: "kind", hint: "failed", values: KINDS.map(({ kind }) => [kind, kind]), pick: "Kind", any: "any kind" },
  state: { param: "open", hint: "ended", values: [["ended", "ended"], ["any", "open and ended"]], pick: "State",
    any: "open", read: (value) => oneOf(STATES, value), old: {} },
};
/** @type {FilterKeys} */
const MESSAGE_KEYS = {
  "": { param: "subject", hint: "part of the name of a DAG or a channel" },
  status: { param: "status", hint: "dropped", values: STATUSES.map((status) => [status, status]), pick: "Status",
    any: "any status", read: (value) => oneOf(Object.fromEntries(STATUSES.map((status) => [status, status])), value) },
};

/** @param {Record<string, string>} values @param {string} value */
function oneOf(values, value) {
  if (Object.hasOwn(values, value)) return values[value];
  throw new Error(`"${value}" is none of ${Object.keys(values).join(", ")}`);
}

/** @type {Concerns} */
const onRun = (change) => change.kind === "run" && !change.root;
/** @type {Concerns} */
const onChannel = (change) => change.kind === "channel";

export default function Alerts() {
  const tab = query.value.get("tab") ?? "alerts";
  useTitle("Alerts", tab === "messages" ? "messages" : "");
  return html`<h1>Alerts</h1>
    <${Tabs} label="Alerts and messages" tabs=${TABS} chosen=${tab}
      onChoose=${(/** @type {string} */ id) => setQuery({ tab: id === "alerts" ? null : id, q: null })} />
    ${tab === "messages" ? html`<${Messages} />` : html`<${Overview} />`}`;
}

function Overview() {
  const filter = useFilter(KEYS);
  const { subject = "", ...asked } = filter.params;
  const found = useApi("alerts", { open: STATES.open, ...asked }, onRun);
  const rules = useApi("alert-rules");
  const channels = useApi("alert-channels", {}, onChannel);
  const [adding, setAdding] = useState(/** @type {Adding | null} */ (null));
  useTold(found.data?.alerts, found.reload);
  if (!useReady(found, rules, channels)) return html`<${Loading} what="alerts" />`;
  const reload = () => Promise.all([rules.reload(), channels.reload()]);
  const close = () => setAdding(null);
  return html`
    ${whenLoaded(rules, "rules", ({ rules: allRules }) => whenLoaded(channels, "channels", ({ channels: all }) => {
      const isNew = !allRules.length && !hasGrants.value;
      const why = whyNoRule(all);
      return html`
        ${isNew && html`<${FirstSteps} channels=${all} why=${why} onAdd=${setAdding} />`}
        ${(!isNew || filter.text || (found.data?.alerts.length ?? 0) > 0) && html`
          <${FilterBox} label="Filter alerts" filter=${filter} />
          ${whenLoaded(found, "alerts", ({ alerts, nextCursor }) => {
            const shown = matching(alerts, { subject }, (alert) => ({ subject: alert.subject }));
            if (!shown.length) return filter.text ? html`<${NoMatch} filter=${filter} what="alert" />`
              : html`<${Empty} title="No alert is open">
                <p>A failure that a rule covers opens one; the next success ends it.</p><//>`;
            return html`<${AlertList} alerts=${shown} reload=${found.reload} />
              ${nextCursor && html`<p class="faint">Only the newest ${alerts.length} alerts are shown.</p>`}`;
          })}`}
        ${allRules.length > 0 && html`<${RuleList} rules=${allRules} channels=${all} why=${why} reload=${reload}
          onAdd=${() => setAdding({ kind: "rule" })} />`}
        ${all.length > 0 && html`<${ChannelList} channels=${all} rules=${allRules} reload=${reload}
          onAdd=${() => setAdding({ kind: "channel" })} />`}
        ${adding?.kind === "rule" && html`<${RuleForm} channels=${all} onClose=${close} name=${isNew ? "all" : ""}
          onDone=${async (/** @type {string} */ rule) => {
            await reload();
            if (isNew) setTimeout(() => setAdding({ kind: "test", rule })); // the third step
          }} />`}
        ${adding?.kind === "test" && html`<${RuleTest} names=${[adding.rule]} onClose=${close} />`}`;
    }))}
    ${adding?.kind === "channel" && html`<${ChannelForm} onClose=${close} onDone=${reload} />`}`;
}

/** All messages of the last months, with what became of them: also those that were dropped. */
function Messages() {
  const filter = useFilter(MESSAGE_KEYS);
  const { subject = "", ...asked } = filter.params;
  const found = useApi("alert-deliveries", asked, onRun);
  return html`<${FilterBox} label="Filter messages" filter=${filter} />
    ${whenLoaded(found, "messages", ({ deliveries, nextCursor }) => {
      const shown = matching(deliveries, { subject }, ({ dag = "", channel }) => ({ subject: [dag, channel] }));
      if (!shown.length) return filter.text ? html`<${NoMatch} filter=${filter} what="message" />`
        : html`<${Empty} title="No message yet"><p>Each message to a channel appears here with its answers.</p><//>`;
      return html`<${Receipts} receipts=${shown} reload=${found.reload} ofAll />
        ${nextCursor && html`<p class="faint">Only the newest ${deliveries.length} messages are shown.</p>`}`;
    })}`;
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
