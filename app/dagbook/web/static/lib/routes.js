// Routes of the UI and their page modules. dagbook/web/pages.py serves the same paths.

const dag = () => import("../pages/dag.js"); // one function for all views, so that switching does not load it again
const run = () => import("../pages/run.js");

/** @typedef {(props: { params: any }) => Children} Component only the page knows the parameters of its path */
/** @typedef {{ default: Component }} Page */
/** @typedef {{ load: () => Promise<Page>, params: Record<string, string> }} Route */

/** @type {[pattern: string, load: () => Promise<Page>][]} */
const ROUTES = [
  ["/", () => import("../pages/dashboard.js")],
  ["/login", () => import("../pages/login.js")],
  ["/account", () => import("../pages/account.js")],
  ["/dags", () => import("../pages/dags.js")],
  ["/dags/:name", dag],
  ["/dags/:name/:tab", dag],
  ["/dag-runs", () => import("../pages/runs.js")],
  ["/dag-runs/:name/:runId", run],
  ["/dag-runs/:name/:runId/:subRunId", run],
  ["/compare", () => import("../pages/compare.js")],
  ["/approvals", () => import("../pages/approvals.js")],
  ["/alerts", () => import("../pages/alerts.js")],
  ["/queues", () => import("../pages/queues.js")],
  ["/schedules", () => import("../pages/schedules.js")],
  ["/batches", () => import("../pages/batches.js")],
  ["/batches/:id", () => import("../pages/batch.js")],
  ["/triggers", () => import("../pages/triggers.js")],
  ["/triggers/:name", () => import("../pages/trigger.js")],
  ["/triggers/:name/events/:eventId", () => import("../pages/triggerevent.js")],
  ["/workers", () => import("../pages/workers.js")],
  ["/sources", () => import("../pages/sources.js")],
  ["/sources/:name", () => import("../pages/source.js")],
  ["/search", () => import("../pages/search.js")],
  ["/system", () => import("../pages/system.js")],
  ["/users", () => import("../pages/users.js")],
  ["/access", () => import("../pages/access.js")],
  ["/tokens", () => import("../pages/tokens.js")],
  ["/audit", () => import("../pages/audit.js")],
  ["/cli-login", () => import("../pages/cli-login.js")],
];

const compiled = ROUTES.map(([pattern, load]) =>
  ({ form: new RegExp(`^${pattern.replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`), load }));
/** @type {Route} */
const missing = { load: () => import("../pages/missing.js"), params: {} };

/** The route of a path: how to load its page, and the parameters in it. @param {string} path @returns {Route} */
export function find(path) {
  for (const { form, load } of compiled) {
    const found = form.exec(path);
    const params = Object.entries(found?.groups ?? {}).map(([name, part]) => [name, decode(part)]);
    if (found) return { load, params: Object.fromEntries(params) };
  }
  return missing;
}

/** @param {string} part */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
