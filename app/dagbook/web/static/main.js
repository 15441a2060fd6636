// Entry point of the UI: identifies the user and renders the current page inside the shell.

import { html, render, useEffect, useRef, useState } from "./vendor/core.js";
import { Failure } from "./parts/basic.js";
import { Shell } from "./parts/shell.js";
import { get, requireLogin } from "./lib/api.js";
import { path, route, start } from "./lib/router.js";
import { mayHaveSession, needsLogin, onOtherTab, take } from "./lib/session.js";
import { applyTheme } from "./lib/theme.js";

/** @typedef {import("./lib/routes.js").Page} Page */
/** @typedef {{ load: (() => Promise<Page>) | null, Page: Page["default"] | null, error: Failed | null }} Shown */

function App() {
  const { load, params } = route.value;
  const [page, setPage] = useState(/** @type {Shown} */ ({ load: null, Page: null, error: null }));
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
  const { tab, ...thing } = params; // views of one thing are one page
  const key = JSON.stringify(thing);
  const ready = page.load === load;
  useFocus(ready && page.Page, key);
  const body = page.error ? html`<${Failure} error=${page.error} />` : page.Page && html`<${page.Page} key=${key}
    params=${params} />`;
  return path.value === "/login" ? ready && body : html`<${Shell}>${ready && body}<//>`;
}

/**
 * Move the focus to the start of a new page, instead of leaving it behind the link that led there.
 * @param {unknown} shown
 * @param {string} key
 */
function useFocus(shown, key) {
  const before = useRef(/** @type {unknown} */ (null));
  useEffect(() => {
    if (!shown) return;
    const main = document.querySelector("main");
    if (before.current && !main?.contains(document.activeElement)) main?.focus({ preventScroll: true });
    before.current = shown;
  }, [shown, key]);
}

async function identify() {
  if (!needsLogin || path.peek() === "/login") return;
  if (!mayHaveSession()) {
    requireLogin();
    return;
  }
  try {
    take(await get("auth/session"));
  } catch {
    // without a session the login page is shown by itself; without a response the page shows the error
  }
}

applyTheme();
start();
onOtherTab(() => window.location.reload());
await identify();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
