// Entry point of the UI: identifies the user and renders the current page inside the shell.

import { html, render, useEffect, useRef } from "./vendor/core.js";
import { Boundary } from "./parts/boundary.js";
import { Shell, Unopened } from "./parts/shell.js";
import { get, requireLogin } from "./lib/api.js";
import { config } from "./lib/config.js";
import { opening, page, path, show, start } from "./lib/router.js";
import { mayHaveSession, needsLogin, onOtherTab, take } from "./lib/session.js";

/** @type {WeakMap<object, number>} */
const numbers = new WeakMap();
let count = 0;

/** The key of a page: views of one thing are one page. @param {import("./lib/routes.js").Route} route */
function keyOf({ load, params: { tab, ...thing } }) {
  const number = numbers.get(load) ?? (count += 1);
  numbers.set(load, number);
  return `${number} ${JSON.stringify(thing)}`;
}

function App() {
  const shown = page.value;
  const key = shown ? keyOf(shown.route) : "";
  useFocus(shown, key);
  const body = shown && html`<${Boundary} key=${key}><${shown.Page} params=${shown.route.params} /><//>`;
  if (path.value === "/login") return body ?? html`<${Unopened} />`;
  return html`<${Shell}>${body}<//>`;
}

/** Move the focus to a new page, from the link that led there. @param {unknown} shown @param {string} key */
function useFocus(shown, key) {
  const before = useRef(/** @type {unknown} */ (null));
  useEffect(() => {
    if (!shown) return;
    const main = document.querySelector("main");
    if (before.current && !main?.contains(document.activeElement)) main?.focus({ preventScroll: true });
    before.current = shown;
  }, [shown, key]);
}

/** The document has the session, unless it is that of a missing page, or a link of another site led to it. */
async function identify() {
  if (!needsLogin || path.peek() === "/login") return;
  if (config.session) {
    take(config.session);
    return;
  }
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

start();
onOtherTab(() => window.location.reload());
await identify();
if (!opening.peek() && !page.peek()) show(new URL(window.location.href)); // else the login is
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
app.replaceChildren(); // the frame of before the scripts
delete app.dataset.frame;
render(html`<${App} />`, app);
