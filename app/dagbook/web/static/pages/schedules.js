// Schedules page: upcoming firings and past slots.

import { html } from "../vendor/core.js";
import { useApi } from "../lib/use-api.js";
import { query, setQuery } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { Empty, whenLoaded, Tabs } from "../parts/basic.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
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

/** @type {import("../lib/filter-text.js").FilterKeys} */
const KEYS = { "": { param: "dag", hint: "the whole name of a DAG" } };

function Past() {
  const filter = useFilter(KEYS);
  const loaded = useApi("schedules/slots", { ...filter.params, perPage: 100 }, (change) => change.kind === "run");
  return html`<${FilterBox} label="Filter past starts" filter=${filter} />
  ${whenLoaded(loaded, "slots", ({ slots }) => slots.length ? html`<${Slots} slots=${slots} ofAll />`
    : filter.text ? html`<${NoMatch} filter=${filter} what="past start" />`
    : html`<${Empty} title="No schedule was due yet">
      <p>Each time that a schedule was due appears here with its outcome.</p><//>`)}`;
}
