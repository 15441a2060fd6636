// Schedules page: upcoming firings and past slots.

import { html } from "../vendor/core.js";
import { useApi } from "../lib/use-api.js";
import { query, setQuery } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { Empty, whenLoaded, Tabs } from "../parts/basic.js";
import { Slots } from "../parts/slots.js";
import { UpcomingTable } from "../parts/upcoming.js";

const TABS = [
  { id: "next", title: "Upcoming" },
  { id: "past", title: "Past" },
];

export default function Schedules() {
  const tab = query.value.get("tab") ?? "next";
  useTitle("Schedules", tab === "past" ? "past" : "");
  return html`<h1>Schedules</h1>
    <${Tabs} label="Schedules" tabs=${TABS} chosen=${tab}
      onChoose=${(/** @type {string} */ id) => setQuery({ tab: id === "next" ? null : id })} />
    ${tab === "past" ? html`<${Past} />` : html`<${UpcomingTable} />`}`;
}

function Past() {
  const loaded = useApi("schedules/slots", { perPage: 100 }, (change) => change.kind === "run");
  return whenLoaded(loaded, "slots", ({ slots }) => slots.length ? html`<${Slots} slots=${slots} ofAll />`
    : html`<${Empty} title="No schedule was due yet">
      <p>Each time that a schedule was due appears here with its outcome.</p><//>`);
}
