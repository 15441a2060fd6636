// List of open sessions, which can be ended.

import { html, useState } from "../vendor/core.js";
import { remove } from "../lib/api.js";
import { Empty, Table, Time, whenLoaded } from "./basic.js";
import { Confirm } from "./form.js";
import { notify } from "./notice.js";

const PROGRAMS = /(Firefox|Edg|OPR|Chrome|Safari|curl|Wget|python-httpx|python-requests|Go-http-client)[/ ]?([\d.]*)/;
const SYSTEMS = /(Windows|Android|iPhone|iPad|Mac OS X|CrOS|Linux)/;
/** @type {Record<string, string>} */
const NAMES = { Edg: "Edge", OPR: "Opera", "Mac OS X": "macOS" };

/** The program and system in a User-Agent header, as short as possible. @param {string} agent */
export function agentName(agent) {
  const program = PROGRAMS.exec(agent)?.[1];
  const system = SYSTEMS.exec(agent)?.[1];
  if (!program) return agent.slice(0, 40) || "unknown program";
  return [program, system].flatMap((name) => (name ? [NAMES[name] ?? name] : [])).join(" on ");
}

/**
 * `all`: those of all users, for admins.
 * @param {{ list: import("../lib/use-api.js").Loading<Api.Sessions>, all?: boolean }} props
 */
export function SessionList({ list, all = false }) {
  const [asked, setAsked] = useState(/** @type {Api.Session | "others" | null} */ (null));
  const end = async () => {
    if (asked === "others") {
      const { ended } = await remove("sessions");
      notify(ended === 1 ? "1 session ended." : `${ended} sessions ended.`);
    } else if (asked) await remove(["sessions", asked.id]);
    await list.reload();
  };
  return html`
    <div class="row"><h2>${all ? "Open sessions of all users" : "Open sessions"}</h2><span class="grow"></span>
      ${!all && (list.data?.sessions.length ?? 0) > 1 && html`<button type="button"
        onClick=${() => setAsked("others")}>End all other sessions</button>`}</div>
    ${whenLoaded(list, "sessions", ({ sessions }) =>
      sessions.length
        ? html`<${Table}
          heads=${["Program", all && "User", "Address", "Logged in", "Last used", "Expires", "-Actions"]}>
          ${sessions.map((session) => html`<${Row} key=${session.id} session=${session} all=${all}
            onEnd=${() => setAsked(session)} />`)}<//>`
        : html`<${Empty} title="No open sessions"><p>A session starts with a login.</p><//>`)}
    ${asked && html`<${Confirm} title=${asked === "others" ? "End all other sessions?" : "End this session?"}
      action="End" onClose=${() => setAsked(null)} onConfirm=${end}>
      <p>${asked === "others" ? "All your other browsers and programs have" : `${agentName(asked.agent)} has`}
        ${" "}to log in again. Personal tokens stay valid.</p><//>`}`;
}

/** @param {{ session: Api.Session, all: boolean, onEnd: () => void }} props */
function Row({ session, all, onEnd }) {
  const name = agentName(session.agent);
  return html`<tr>
    <td class="wide-text" title=${session.agent}>${name}
      ${session.current && html` <span class="tag">this session</span>`}</td>
    ${all && html`<td data-label="user">${session.username}</td>`}
    <td data-label="address">${session.address}</td>
    <td data-label="logged in"><${Time} at=${session.createdAt} /></td>
    <td data-label="last used"><${Time} at=${session.lastUsedAt} /></td>
    <td data-label="expires"><${Time} at=${session.expiresAt} /></td>
    <td class="actions">${!session.current && html`<button type="button" class="danger"
        aria-label=${`End ${name} of ${session.username}, ${session.address}`} onClick=${onEnd}>End</button>`}</td>
  </tr>`;
}
