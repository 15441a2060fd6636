// Alerts of a DAG: which rules cover it by which of their words, or why none does, a test of them, and its alerts.

import { html, useState } from "../../vendor/core.js";
import { may } from "../../lib/session.js";
import { useApi, useReady } from "../../lib/use-api.js";
import { AlertList, useTold } from "../../parts/alertlist.js";
import { RuleForm, RuleList, RuleTest, mayTest, whyNoRule } from "../../parts/alertrules.js";
import { ActionButton, Empty, Loading, whenLoaded } from "../../parts/basic.js";

/** @param {{ name: string, concerns: Concerns }} props */
export function AlertsTab({ name, concerns }) {
  const found = useApi(["dags", name, "alerts"], {}, concerns);
  const rules = useApi("alert-rules");
  const channels = useApi("alert-channels");
  useTold(found.data?.alerts, found.reload);
  if (!useReady(found, rules, channels)) return html`<${Loading} what="alerts" />`;
  const reload = () => Promise.all([found.reload(), rules.reload(), channels.reload()]);
  return whenLoaded(found, "alerts", (of) => whenLoaded(rules, "rules", ({ rules: all }) =>
    whenLoaded(channels, "channels", ({ channels: known }) => html`
      <${Covering} of=${of} rules=${all} channels=${known} reload=${reload} />
      <h2>Alerts</h2>
      ${of.alerts.length ? html`<${AlertList} alerts=${of.alerts} reload=${reload} />`
        : html`<${Empty} title="No alert yet"><p>What a rule reports opens one, or is told once.</p><//>`}`)));
}

/**
 * @param {{ of: Api.DAGAlerts, rules: Api.AlertRule[], channels: Api.AlertChannel[], reload: () => Promise<unknown>
 *   }} props
 */
function Covering({ of: { dag, rules: covering, reasons, byMail }, rules, channels, reload }) {
  const [asked, setAsked] = useState(/** @type {"rule" | "test" | null} */ (null));
  const close = () => setAsked(null);
  const known = new Map(rules.map((rule) => [rule.name, rule]));
  const shown = covering.map((one) => known.get(one.name) ?? notSeen(one));
  const tested = shown.filter(mayTest).map(({ name }) => name);
  const isTold = covering.some(({ on }) => on.includes("failed"));
  return html`<${RuleList} title="Rules that cover it" rules=${shown} channels=${channels} reload=${reload}
      words=${new Map(covering.map(({ name, word }) => [name, word]))} why=${whyNoRule(channels)}
      onAdd=${() => setAsked("rule")}>
      ${(tested.length > 0 || may("admin")) && html`<${ActionButton} disabled=${!tested.length}
        title=${tested.length ? "" : "No rule covers it"} onClick=${() => setAsked("test")}>Send test<//>`}<//>
    ${!isTold && html`<p class=${byMail ? "" : "bad"}>No rule reports a failure of ${dag}${
      reasons.length > 0 && `: ${reasons.join("; ")}`}.</p>`}
    ${byMail && html`<p class="faint">A mail of its definition reports a failure.</p>`}
    ${asked === "rule" && html`<${RuleForm} channels=${channels} name=${dag} dag=${dag} onClose=${close}
      onDone=${reload} />`}
    ${asked === "test" && html`<${RuleTest} names=${tested} dag=${dag} onClose=${close} />`}`;
}

/** A rule of which the user sees no more. @param {Api.CoveringRule} rule @returns {Api.AlertRule} */
const notSeen = ({ name, on, to }) => ({ name, on, to, match: [], after: 1, remindSeconds: 0, enabled: true,
  configured: false, mayChange: false });
