// The frame around every page: where one can go, who is here, whether what is shown is live.

import { html, useEffect, useRef, useState } from "../vendor/core.js";
import { facts } from "../lib/facts.js";
import { liveness, restart } from "../lib/feed.js";
import { go, href, path } from "../lib/router.js";
import { hasUsers, keep, may, needsLogin, user } from "../lib/session.js";
import { THEMES, choose, theme } from "../lib/theme.js";
import { Icon } from "./icon.js";
import { Notices } from "./notice.js";

const PLACES = [
  ["/", "Dashboard", "dashboard"],
  ["/dag-runs", "Runs", "runs"],
  ["/dags", "DAGs", "dags"],
  ["/queues", "Queues", "queues"],
  ["/schedules", "Schedules", "schedules"],
  ["/workers", "Workers", "workers"],
  ["/search", "Search", "search"],
  ["/system", "System", "system"],
];
const ADMIN_PLACES = [
  ["/users", "Users", "users"],
  ["/audit", "Audit", "audit"],
];
const PATIENCE = 4000; // milliseconds
const LIVE = { live: "Live: changes show at once", connecting: "Connecting…", off: "Not live: reload to see changes" };

function Place({ to, name, icon }) {
  const here = to === "/" ? path.value === "/" : path.value === to || path.value.startsWith(`${to}/`);
  return html`<a href=${href(to)} aria-current=${here ? "page" : null}><${Icon} name=${icon} />${name}</a>`;
}

function Person() {
  const leave = () => {
    keep(null);
    restart();
    go("/login");
  };
  if (!needsLogin) return null;
  return html`<div class="person">
    ${hasUsers && html`<a href=${href("/account")}>${user.value?.username ?? "Account"}</a>`}
    ${hasUsers && user.value && user.value.role !== user.value.username && html`<span class="tag">${user.value.role}</span>`}
    <button type="button" class="quiet" onClick=${leave}>Log out</button>
  </div>`;
}

function ThemeChoice() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length];
  return html`<button type="button" class="quiet" aria-label=${`Theme: ${theme.value}; change to ${next}`} title=${`Theme: ${theme.value}`}
    onClick=${() => choose(next)}><${Icon} name=${{ system: "half", light: "sun", dark: "moon" }[theme.value]} /></button>`;
}

function SearchBox() {
  const box = useRef();
  useEffect(() => {
    const focus = (event) => {
      const typing = event.target.closest?.("input, textarea, select, [contenteditable], .cm-editor, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      box.current.focus();
    };
    document.addEventListener("keydown", focus);
    return () => document.removeEventListener("keydown", focus);
  }, []);
  const submit = (event) => {
    event.preventDefault();
    if (box.current.value.trim()) go("/search", { search: { q: box.current.value.trim() } });
  };
  return html`<form role="search" onSubmit=${submit}>
    <input ref=${box} type="search" aria-label="Search everything" aria-keyshortcuts="/" placeholder="Search DAGs, definitions, errors" /><kbd aria-hidden="true">/</kbd>
  </form>`;
}

/** Says that the server has not answered for a while; a short break is not worth a word. */
function Stale() {
  const [late, setLate] = useState(false);
  const waiting = liveness.value === "connecting";
  useEffect(() => {
    if (!waiting) return setLate(false);
    const timer = setTimeout(() => setLate(true), PATIENCE);
    return () => clearTimeout(timer);
  }, [waiting]);
  return html`<div role="status">${late && html`<p class="stale"><${Icon} name="wait" />The server does not answer. What shows here may be old; it is tried again by itself.</p>`}</div>`;
}

/** On a phone the pages are a strip: the one that is shown is in sight. */
function useInSight(place) {
  const strip = useRef();
  useEffect(() => {
    const here = strip.current?.querySelector("[aria-current]");
    if (here) strip.current.scrollLeft = here.offsetLeft - (strip.current.clientWidth - here.clientWidth) / 2;
  }, [place]);
  return strip;
}

export function Shell({ children }) {
  const strip = useInSight(path.value);
  const places = [...PLACES, ...(hasUsers && may("admin") ? ADMIN_PLACES : [])];
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href=${href("/")}><${Icon} name="mark" />Dagbook</a>
      <${SearchBox} />
      <span class="dot ${liveness.value}" role="img" aria-label=${LIVE[liveness.value]} title=${LIVE[liveness.value]}></span>
      <${ThemeChoice} />
      <${Person} />
    </header>
    <nav aria-label="Pages" ref=${strip}>
      ${places.map(([to, name, icon]) => html`<${Place} key=${to} to=${to} name=${name} icon=${icon} />`)}
      <span class="version faint">${facts.version}</span>
    </nav>
    <main id="main" tabindex="-1"><${Stale} />${children}</main>
    <${Notices} />
  `;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
