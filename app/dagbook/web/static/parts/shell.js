// Frame of every page: navigation, user menu and state of the live feed.

import { html, signal, useEffect, useRef, useState } from "../vendor/core.js";
import { config } from "../lib/config.js";
import { HTTP, get, post } from "../lib/api.js";
import { listen, liveness } from "../lib/feed.js";
import { href, opening, page, path, reopen, stay } from "../lib/router.js";
import { forget, hasGrants, hasUsers, may, needsLogin, question, take, user } from "../lib/session.js";
import { causeOf } from "../lib/runs.js";
import { THEMES, choose, theme } from "../lib/theme.js";
import { useChanges } from "../lib/use-api.js";
import { ApprovalBadge } from "./badge.js";
import { Failure, Icon } from "./basic.js";
import { Box } from "./box.js";
import { ClockChoice } from "./clock.js";
import { FormDialog } from "./form.js";
import { attempt, Notices } from "./notice.js";
import { Shortcuts, useRowKeys } from "./shortcuts.js";

const PLACES = [
  ["/", "Dashboard", "dashboard"],
  ["/dag-runs", "Runs", "runs"],
  ["/dags", "DAGs", "dags"],
  ["/approvals", "Approvals", "approvals"],
  ["/alerts", "Alerts", "alerts"],
  ["/queues", "Queues", "queues"],
  ["/schedules", "Schedules", "schedules"],
  ["/batches", "Batches", "batches"],
  ["/triggers", "Triggers", "triggers"],
  ["/workers", "Workers", "workers"],
  ["/sources", "Sources", "sources"],
  ["/search", "Search", "search"],
  ["/system", "System", "system"],
];
const ADMIN_PLACES = [["/users", "Users", "users"], ["/access", "Access", "access"], ["/audit", "Audit", "audit"]];
const PATIENCE = 4000; // milliseconds
const HELD_POLL = 5000;
const [SECOND, LONGEST_TIMER] = [1000, 86_400_000]; // milliseconds
/** @type {Record<string, string>} */
const LIVE = {
  live: "Live: changes appear at once",
  connecting: "Connecting…",
  off: "Not live: reload to see changes",
};

/** @param {{ to: string, name: string, icon: string }} props */
function Place({ to, name, icon }) {
  const here = to === "/" ? path.value === "/" : path.value === to || path.value.startsWith(`${to}/`);
  return html`<a href=${href(to)} aria-current=${here ? "page" : null}><${Icon} name=${icon} />${name}
    ${to === "/approvals" && page.value && html`<${ApprovalBadge} />`}</a>`;
}

function Person() {
  const leave = async () => {
    if (!(await attempt(() => post("auth/logout")))) return;
    forget();
    window.location.assign(href("/login")); // a new page, which has nothing in memory
  };
  if (!needsLogin) return null;
  return html`<div class="person">
    ${hasUsers && html`<a href=${href("/account")}>${user.value?.username ?? "Account"}</a>`}
    ${hasUsers && user.value && user.value.role !== user.value.username && html`<span class="tag">${user.value.role}
    </span>`}
    <button type="button" class="quiet" onClick=${leave}>Log out</button></div>`;
}

function ThemeChoice() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  return html`<button type="button" class="quiet" aria-label=${`Theme: ${theme.value}; change to ${next}`}
    title=${`Theme: ${theme.value}`}
    onClick=${() => choose(next)}><${Icon} name=${{ system: "half", light: "sun", dark: "moon" }[theme.value]} />
    </button>`;
}

/** Message that the server has not responded for a while; short interruptions are not reported. */
function Stale() {
  const [late, setLate] = useState(false);
  const waiting = page.value && liveness.value === "connecting";
  useEffect(() => {
    if (!waiting) return setLate(false);
    const timer = setTimeout(() => setLate(true), PATIENCE);
    return () => clearTimeout(timer);
  }, [waiting]);
  return html`<div role="status">
    ${late && html`<p class="stale late"><${Icon} name="wait" />
      The server does not answer. This page may be out of date; it reconnects by itself.</p>`}</div>`;
}

/** Message that another page could not be loaded; when the server is back, that page opens by itself. */
export function Unopened() {
  const live = liveness.value === "live";
  useEffect(() => {
    if (live && page.peek()) reopen(); // without a page to stay on, a broken one would be loaded again and again
  }, [live]);
  const failed = opening.value?.error && opening.value;
  if (!failed) return null;
  const waits = page.value && !live;
  const text = `${failed.url.pathname} could not be loaded.${waits ? " It opens as soon as the server answers." : ""}`;
  const error = Object.assign(new Error(text), waits ? { status: HTTP.UNREACHABLE } : {});
  return html`<${Failure} error=${error} retry=${reopen}>
    ${page.value && html`<button type="button" onClick=${stay}>Stay here</button>`}<//>`;
}

/** Message that nothing starts, because the database was restored from a backup; gone when it is resumed. */
function Held() {
  const [held, setHeld] = useState(config.held);
  useEffect(() => {
    if (!held) return;
    const look = () => get("hold").then((answer) => setHeld(answer.held), () => {}); // what fails is tried again
    const timer = setInterval(look, HELD_POLL);
    return () => clearInterval(timer);
  }, [held]);
  return held && html`<p class="stale" role="status"><${Icon} name="wait" />
    This database was restored from a backup and is held: nothing starts until <code>dagbook resume</code>.</p>`;
}

/** Message that everything is paused; gone when that ends, by itself or by hand. */
function Paused() {
  const [pause, setPause] = useState(/** @type {Api.PauseStatus | null} */ (null));
  const look = () => get("pause").then((answer) => setPause(answer.paused ? answer : null), () => {});
  useEffect(() => void (config.paused && look()), []);
  useChanges(page.value && ((change) => change.kind === "queue" && !change.queue), look);
  useEffect(() => {
    if (!pause?.until) return;
    const wait = Math.min(Math.max(Date.parse(pause.until) - Date.now(), 0) + SECOND, LONGEST_TIMER);
    const timer = setTimeout(look, wait);
    return () => clearTimeout(timer);
  }, [pause]);
  if (!pause) return null;
  const { by, until, reason } = pause;
  return html`<p class="stale" role="status"><${Icon} name="wait" />
    ${causeOf({ reason: "paused", everything: true, by, until, pauseReason: reason })}</p>`;
}

const SNAPSHOT = config.snapshot && html`<p class="stale" role="status"><${Icon} name="wait" />
  This is the snapshot <code>${config.snapshot}</code>: nothing can be changed or started.</p>`;

const failing = signal(config.failing ?? []);

/**
 * Message about channels that fail, of those that the user sees: in the document already (web/frame.py). One that comes
 * while a page is used moves nothing.
 */
function Failing() {
  const names = failing.value;
  const [isPlaced] = useState(names.length > 0);
  // Before there is a page it is not known which changes that follows.
  useChanges(page.value && ((change) => change.kind === "channel"), async () => {
    const { channels } = await get("alert-channels");
    failing.value = channels.filter((one) => one.enabled && one.state === "failing").map(({ name }) => name);
  });
  if (!isPlaced && !names.length) return null;
  return html`<p class=${isPlaced ? "stale" : "stale late"}><${Icon} name=${names.length ? "wait" : "check"} />
    <span>${names.length ? html`Alerts do not reach: ${names.join(", ")}. <a href=${href("/alerts")}>Channels</a>`
      : "All channels accept alerts again."}</span></p>`;
}

/** On a phone the navigation is a scrollable strip: scroll the current page into view. @param {string} place */
function useInSight(place) {
  const strip = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const element = strip.current;
    /** @type {HTMLElement | null | undefined} */
    const here = element?.querySelector("[aria-current]");
    if (here && element) element.scrollLeft = here.offsetLeft - (element.clientWidth - here.clientWidth) / 2;
  }, [place]);
  return strip;
}

/** @param {{ children?: Children }} props */
export function Shell({ children }) {
  const strip = useInSight(path.value);
  useRowKeys();
  const shown = Boolean(children || opening.value?.error);
  // Also on pages that reload nothing, so that they tell when the server is away.
  useEffect(() => (shown ? listen(() => {}) : undefined), [shown]);
  const seen = PLACES.filter(([to]) => to !== "/sources" || !hasGrants.value); // who has grants sees no list of them
  const places = [...seen, ...(hasUsers && may("admin") ? ADMIN_PLACES : [])];
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href=${href("/")}><${Icon} name="mark" />Dagbook</a>
      <${Box} places=${[...places, ...(hasUsers ? [["/account", "Account"], ["/tokens", "Tokens"]] : [])]} />
      <${ClockChoice} />
      <span class="dot ${liveness.value}" role="img" aria-label=${LIVE[liveness.value]} title=${LIVE[liveness.value]}>
      </span>
      <${Shortcuts} />
      <${ThemeChoice} />
      <${Person} /></header>
    <nav aria-label="Pages" ref=${strip}>
      ${places.map(([to, name, icon]) => html`<${Place} key=${to} to=${to} name=${name} icon=${icon} />`)}
      <span class="version faint">${config.version}</span></nav>
    <main id="main" tabindex="-1" aria-busy=${Boolean(opening.value && !opening.value.error)}>
      <${Stale} /><${Unopened} /><${Held} /><${Paused} />${SNAPSHOT}
      <div role="status"><${Failing} key=${path.value} /></div>
      ${children ?? (!opening.value?.error && html`<div class="shape"></div>`)}</main>
    <${Notices} /><${Again} />
  `;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** Question for the password before a change that needs a fresh login. */
function Again() {
  const answer = question.value;
  if (!answer) return null;
  const enter = async (/** @type {Fields} */ { password }) => {
    take(await post("auth/session", { username: user.peek()?.username ?? "", password }));
    answer(true);
  };
  return html`<${FormDialog} title="Log in again" action="Log in" onClose=${() => answer(false)} onSave=${enter}>
    <p>This change needs a login that is not older than 15 minutes.</p>
    <label>Password of ${user.peek()?.username}
      <input name="password" type="password" autocomplete="current-password" required autofocus /></label><//>`;
}
