// Schedules page: upcoming firings and past slots.

import { html } from "../vendor/core.js";
import { matching } from "../lib/filter-text.js";
import { dayAndTime, exact } from "../lib/format.js";
import { useApi } from "../lib/use-api.js";
import { href, query, setQuery } from "../lib/router.js";
import { useTitle } from "../lib/title.js";
import { Empty, Table, Tabs, whenLoaded } from "../parts/basic.js";
import { ClockNote, Expression, NextTime } from "../parts/clock.js";
import { FilterBox, NoMatch, useFilter } from "../parts/filterbox.js";
import { Slots } from "../parts/slots.js";

const TABS = [{ id: "next", title: "Upcoming" }, { id: "past", title: "Past" }];
const THEN = 3; // times per line
/** @type {import("../../types/ui").FilterKeys} */
const PAST_KEYS = { "": { param: "dag", hint: "the whole name of a DAG" } };
/** @type {import("../../types/ui").FilterKeys} */
const KEYS = {
  "": { param: "name", hint: "part of a name" },
  kind: { param: "kind", hint: "start", values: [["start", "start"], ["stop", "stop"], ["restart", "restart"]] },
};

export default function Schedules() {
  const tab = query.value.get("tab") ?? "next";
  useTitle("Schedules", tab === "past" ? "past" : "");
  return html`<h1>Schedules</h1>
    <${Tabs} label="Schedules" tabs=${TABS} chosen=${tab}
      onChoose=${(/** @type {string} */ id) => setQuery({ tab: id === "next" ? null : id })} />
    ${tab === "past" ? html`<${Past} />` : html`<${UpcomingTable} />`}`;
}

function Past() {
  const filter = useFilter(PAST_KEYS);
  const loaded = useApi("schedules/slots", { ...filter.params, perPage: 100 }, (change) => change.kind === "run");
  return html`<${FilterBox} label="Filter past starts" filter=${filter} />
  ${whenLoaded(loaded, "slots", ({ slots }) => slots.length ? html`<${Slots} slots=${slots} ofAll />`
    : filter.text ? html`<${NoMatch} filter=${filter} what="past start" />`
    : html`<${Empty} title="No schedule was due yet">
      <p>Each time that a schedule was due appears here with its outcome.</p><//>`)}`;
}

/** @param {Api.Upcoming} one */
const textsOf = ({ dagName, kind }) => ({ name: dagName, kind });

/** One line per DAG and kind, so that a DAG that starts every minute does not hide the others. */
function UpcomingTable() {
  const filter = useFilter(KEYS);
  const loaded = useApi("schedules/upcoming", { limit: 1000, perDag: THEN }, (change) => change.kind === "dag");
  return html`<${FilterBox} label="Filter schedules" filter=${filter} />
  ${whenLoaded(loaded, "schedules", ({ upcoming }) => {
    const groups = grouped(matching(upcoming, filter.params, textsOf));
    if (!groups.length && upcoming.length) return html`<${NoMatch} filter=${filter} what="schedule" />`;
    if (!groups.length) return html`<${Empty} title="Nothing is scheduled">
      <p>Add a line such as <code>schedule: "0 3 * * *"</code> to a <a href=${href("/dags")}>DAG</a>.</p><//>`;
    return html`<${ClockNote} zones=${upcoming.map(({ zone }) => zone)} />
      <${Table} heads=${["Next", "DAG", "Schedule", "After that"]}>
        ${groups.map((group) => html`<${Group} key=${group.key} group=${group} />`)}<//>`;
  })}`;
}

/** One entry per DAG and kind by their first times, suspended ones last. @param {Api.Upcoming[]} upcoming */
function grouped(upcoming) {
  const groups = Map.groupBy(upcoming, ({ fileName, kind }) => JSON.stringify([fileName, kind]));
  const starts = [...groups].map(([key, group]) => ({ key, first: group[0],
    times: group.slice(0, THEN).map(({ at }) => new Date(at)),
    expressions: [...new Map(group.map((one) => [one.expression, one])).values()] }));
  return starts.sort((one, other) => Number(one.first.suspended) - Number(other.first.suspended));
}

/** @param {{ group: ReturnType<typeof grouped>[number] }} props */
function Group({ group }) {
  const { first, times, expressions } = group;
  return html`<tr class=${first.suspended ? "faint" : ""}>
    <td>${first.suspended ? html`<span class="wait">suspended</span>`
      : html`<${NextTime} at=${first.at} zone=${first.zone} />`}</td>
    <td><a class="wide-text" href=${href(["dags", first.fileName])}>${first.dagName}</a>
      ${first.kind !== "start" && html` <span class="tag">${first.kind}</span>`}</td>
    <td>${expressions.map((one) => html`<${Expression} key=${one.expression} of=${one} />`)}</td>
    <td data-label="after that">${!first.suspended && html`<span class="number">
      ${times.slice(1).map((time, index) => html`${index ? ", " : ""}<time key=${index} datetime=${time.toISOString()}
        title=${exact(time, first.zone)}>${dayAndTime(time)}</time>`)}</span>`}</td></tr>`;
}
