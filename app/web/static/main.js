// Starts the UI: who is here, which page, and the frame around it.

import { html, render, useEffect, useState } from "./vendor/core.js";
import { Failure } from "./parts/basic.js";
import { Shell } from "./parts/shell.js";
import { get } from "./lib/api.js";
import { go, path, route, start } from "./lib/router.js";
import { hasUsers, needsLogin, token, user } from "./lib/session.js";
import { applyTheme } from "./lib/theme.js";

function App() {
  const { load, params } = route.value;
  const [page, setPage] = useState({ load: null, Page: null, error: null });
  useEffect(() => {
    let current = true;
    load().then(
      (module) => current && setPage({ load, Page: module.default, error: null }),
      (error) => current && setPage({ load, Page: null, error }),
    );
    return () => {
      current = false;
    };
  }, [load]);
  const body = page.error
    ? html`<${Failure} error=${page.error} />`
    : page.Page && html`<${page.Page} key=${path.value} params=${page.load === load ? params : {}} />`;
  return path.value === "/login" ? body : html`<${Shell}>${page.load === load && body}<//>`;
}

async function identify() {
  if (!needsLogin || path.peek() === "/login") return;
  if (!token.peek()) {
    const next = window.location.pathname + window.location.search + window.location.hash;
    go("/login", { search: { next: path.peek() === "/" ? "" : next }, replace: true });
    return;
  }
  if (!hasUsers) return;
  try {
    user.value = (await get("auth/me")).user;
  } catch {
    // a void token leads to the login page by itself; without an answer the page says what is wrong
  }
}

applyTheme();
start();
await identify();
render(html`<${App} />`, document.getElementById("app"));
