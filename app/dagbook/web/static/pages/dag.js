// DAG page. Each view is a module in dag/.

import { html, useEffect, useMemo, useState } from "../vendor/core.js";
import { HTTP } from "../lib/api.js";
import { stepsOfDag } from "../lib/graph.js";
import { go, href } from "../lib/router.js";
import { hasUsers, may } from "../lib/session.js";
import { lookOfRow } from "../lib/status.js";
import { useStateIcon, useTitle } from "../lib/title.js";
import { useApi } from "../lib/use-api.js";
import { Dialog, Empty, NotThere, Table, Tabs, whenLoaded } from "../parts/basic.js";
import { GiveAccess } from "../parts/giveaccess.js";
import { DagGraph } from "../parts/graph.js";
import { Origin, whyReadOnly } from "../parts/origin.js";
import { AlertsTab } from "./dag/alerts.js";
import { DefinitionTab } from "./dag/definition.js";
import { Header } from "./dag/header.js";
import { OverviewTab } from "./dag/overview.js";
import { RevisionsTab } from "./dag/revisions.js";
import { ScheduleTab } from "./dag/schedule.js";
import { TriggersTab } from "./dag/triggers.js";

const TABS = [
  { id: "overview", title: "Overview" },
  { id: "graph", title: "Graph" },
  { id: "spec", title: "Definition" },
  { id: "revisions", title: "Revisions" },
  { id: "schedule", title: "Schedule" },
  { id: "triggers", title: "Triggers" },
  { id: "alerts", title: "Alerts" },
];
const ACCESS = { id: "access", title: "Access" };

/** @param {{ params: { name: string, tab?: string } }} props */
export default function DagPage({ params }) {
  const name = params.name;
  const tab = params.tab ?? "overview";
  const path = /** @type {const} */ (["dags", name]);
  /** @type {Concerns} */
  const concerns = (change) =>
    (change.kind === "dag" && (change.fileName === name || change.name === name)) ||
    (change.kind === "run" && change.name === name && !change.root);
  const loaded = useApi(path, {}, concerns);
  const tabs = hasUsers && may("admin") ? [...TABS, ACCESS] : TABS;
  const known = tabs.find(({ id }) => id === tab);
  const latest = loaded.data?.latestDAGRun;
  const shown = Boolean(loaded.data);
  useEffect(() => {
    // On a phone the tabs are wider than the screen.
    document.querySelector("[role=tab][aria-selected=true]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [shown, tab]);
  useStateIcon(latest?.dagRunId ? lookOfRow(latest).tone : null);
  const missing = (/** @type {Failed} */ error) => html`<${NotThere} title="There is no such DAG" error=${error}>
    <a href=${href("/dags")}>All DAGs</a> · <a href=${href("/dag-runs", { name })}>Runs of ${name}</a><//>`;
  const view = tab === "overview" ? latest?.dagRunId && lookOfRow(latest).word : known?.title;
  useTitle(name, loaded.error?.status === HTTP.NOT_FOUND && "not found", view);
  const readOnly = whyReadOnly(loaded.data?.source);
  return whenLoaded(loaded, "DAG", (details) => html`
    <${Header} name=${name} details=${details} reload=${loaded.reload} />
    ${details.errors.map((error) => html`<p class="bad wide-text" key=${error}>${error}</p>`)}
    ${details.source && html`<${Origin} source=${details.source} />`}
    <${Tabs} label="Views of the DAG" tabs=${tabs} chosen=${tab}
      onChoose=${(/** @type {string} */ id) => go(href(id === "overview" ? path : [...path, id]))} />
    ${tab === "overview" && html`<${OverviewTab} name=${name} details=${details} concerns=${concerns} />`}
    ${tab === "graph" && html`<${GraphTab} details=${details} />`}
    ${tab === "spec" && html`<${DefinitionTab} name=${name} readOnly=${readOnly} />`}
    ${tab === "revisions" && html`<${RevisionsTab} name=${name} concerns=${concerns} readOnly=${readOnly} />`}
    ${tab === "schedule" && html`<${ScheduleTab} name=${name} details=${details} readOnly=${readOnly} />`}
    ${tab === "triggers" && html`<${TriggersTab} name=${name} concerns=${concerns} />`}
    ${tab === "alerts" && html`<${AlertsTab} name=${name} concerns=${concerns} />`}
    ${tab === "access" && known && html`<${AccessTab} name=${name} />`}
    ${!known && html`<${Empty} title="There is no such view"><p><a href=${href(path)}>Overview of ${name}</a></p>
    <//>`}`, missing);
}

/** @param {{ details: Api.DAGFileDetails }} props */
function GraphTab({ details }) {
  const { dag } = details;
  const steps = useMemo(() => (dag ? stepsOfDag(dag) : []), [dag]);
  const [chosen, setChosen] = useState(null);
  const step = [...(dag?.steps ?? []), ...Object.values(dag?.handlerOn ?? {})].find(({ name }) => name === chosen);
  if (!steps.length) return html`<${Empty} title="No steps"><p>The definition has no steps, or has problems.</p><//>`;
  return html`<${DagGraph} steps=${steps} chosen=${chosen} onChoose=${setChosen} />
    ${step && html`<${Dialog} title=${step.name} onClose=${() => setChosen(null)}>
      <div class="body">${step.description && html`<p>${step.description}</p>`}
      <pre class="events" tabindex="0">
        ${[step.cmdWithArgs, step.script].filter(Boolean).join("\n") || "Calls another DAG"}</pre></div><//>`}`;
}

/** @param {{ name: string }} props */
function AccessTab({ name }) {
  const loaded = useApi(["dags", name, "access"]);
  const [asked, setAsked] = useState(false);
  return whenLoaded(loaded, "grants", ({ everywhere, grants }) => html`
    <div class="row"><h2>Access to this DAG</h2><span class="grow"></span>
      <a href=${href("/access")}>Manage access</a>
      ${may("admin") && html`<button type="button" class="primary" onClick=${() => setAsked(true)}>Add</button>`}</div>
    ${grants.length
      ? html`<${Table} heads=${["User or group", "Role", "Granted by"]}>
        ${grants.map((grant) => html`<tr key=${grant.id}>
          <td class="wide-text">${grant.username ?? html`<span class="tag">group</span> ${grant.groupName}`}</td>
          <td data-label="role">${grant.role}</td>
          <td data-label="by">${grant.pattern ? "name" : "tag"} <code>${grant.pattern ?? grant.tag}</code></td>
        </tr>`)}<//>`
      : html`<${Empty} title="No grants for this DAG" />`}
    <p class="faint">Users with access to all DAGs: ${everywhere.filter((one) => !one.disabled)
      .map((one) => `${one.username} (${one.role})`).join(", ")}.</p>
    ${asked && html`<${GiveAccess} dag=${name} onClose=${() => setAsked(false)} onDone=${loaded.reload} />`}`);
}
