// The user's session and permissions. The session itself is in a cookie that no script can read.

import { computed, signal } from "../vendor/core.js";
import { config } from "./config.js";
import { path } from "./router.js";
import { inStorage, store } from "./stored.js";

const OTHER_TABS = "dagbook.session"; // a value that is new with every login
const OF_USER = /^dagbook\.(draft\.|seen$)/; // what a logout deletes from this browser
const QUIET = 300000; // milliseconds without a key or a movement, after which the page counts as left

/** @type {Api.Role[]} */
const RANKS = ["viewer", "operator", "manager", "admin"];

/** @typedef {"run" | "create" | "write" | "manage" | "admin"} Right */

export const user = signal(/** @type {Api.User | null} */ (null));

/** Whether the UI requires a login. */
export const needsLogin = config.login !== "";
export const hasUsers = config.login === "builtin";

/** Whether only grants count for the user: the role differs from DAG to DAG. */
export const hasGrants = computed(() => user.value?.scope === "granted");

/** The roles of a user with grants by DAG, as the responses about a DAG name them. */
const granted = signal(/** @type {Record<string, Api.Role>} */ ({}));

/** The DAG of an address of the UI, or of an operation of the API below /api/v2. */
const dagIn = (/** @type {string} */ text) =>
  decodeURIComponent(/^\/?(?:dags|dag-runs)\/([^/?]+)/.exec(text)?.[1] ?? "");

/** Whether the user may create DAGs of some name, which for one with grants only the server knows. */
const creates = signal(false);

/** Without users: the role of the account at the provider, if accounts have roles. */
const ofAccount = signal(/** @type {Api.Role | null} */ (null));

/** The role for a DAG, as far as a response has named it. @param {string} dag */
function roleFor(dag) {
  if (!user.value) return ofAccount.value;
  return hasGrants.value ? (granted.value[dag] ?? "viewer") : user.value.role;
}

/**
 * Note the role that a response names, for the DAG that it is about, or for everything where there are no users.
 * @param {string} operation its path below /api/v2
 * @param {Response} response
 */
export function noteRole(operation, response) {
  const named = /** @type {Api.Role | null} */ (response.headers.get("x-dagbook-role"));
  const dag = dagIn(operation);
  if (named && !hasUsers) ofAccount.value = named;
  else if (named && granted.value[dag] !== named) granted.value = { ...granted.value, [dag]: named };
}

/** What changes send beside the cookie; empty without a session. */
let proof = "";
let lastInput = Date.now();

for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  window.addEventListener(kind, () => (lastInput = Date.now()), { capture: true, passive: true });
}

/** Headers of a request. A page without input does not prolong its session. @returns {Record<string, string>} */
export const headers = () => ({
  ...(proof && { "X-CSRF-Token": proof }),
  ...(Date.now() - lastInput > QUIET && { "X-Dagbook-Idle": "true" }),
});

/** Take over the session that the server has started or found. @param {Api.BrowserSession} session */
export function take(session) {
  proof = session.csrfToken;
  user.value = session.user ?? null;
  creates.value = session.mayCreate ?? false;
}

/** Whether the browser may have the cookie of a session: asking the server without one is an error in its console. */
export const mayHaveSession = () => inStorage((storage) => storage.getItem(OTHER_TABS) !== null, true);

/** Whether there is a session. */
export const isLoggedIn = () => proof !== "";

/** The session has ended; drafts stay for the next login of the same user. */
export function lose() {
  proof = "";
  user.value = null;
}

/** Tell other tabs of a login; without storage they notice with their next request. */
export const tellOfLogin = () => store(OTHER_TABS, `${Date.now()} ${Math.random()}`);

/** Delete what this browser has of the user, which other tabs notice. */
export function forget() {
  for (const key of inStorage(Object.keys, [])) if (OF_USER.test(key) || key === OTHER_TABS) store(key, null);
}

store("dagbook.token", null); // where versions before 0.2.0 kept the token

/**
 * Call `react` after a login or logout in another tab, and when the browser shows a page of before a logout again.
 * @param {() => unknown} react
 */
export function onOtherTab(react) {
  window.addEventListener("storage", ({ key }) => key === OTHER_TABS && react());
  window.addEventListener("pageshow", ({ persisted }) => persisted && needsLogin && react());
}

/** Set while the user is asked for the password again; call it with whether that succeeded. */
export const question = signal(/** @type {((answer: boolean) => void) | null} */ (null));

/** Ask the user to log in again. @returns {Promise<boolean>} whether that succeeded */
export function logInAgain() {
  return new Promise((resolve) => {
    question.value = (answer) => {
      question.value = null;
      resolve(answer);
    };
  });
}

/** @param {Api.Role} least @param {string} dag */
function hasRank(least, dag) {
  const role = roleFor(dag);
  return role === null ? !hasUsers : RANKS.indexOf(role) >= RANKS.indexOf(least);
}

/** @type {Record<Right, (dag: string) => boolean>} */
const RIGHTS = {
  run: (dag) => config.runs && hasRank("operator", dag),
  write: (dag) => config.writes && hasRank("manager", dag),
  create: (dag) => config.writes && (hasUsers ? creates.value : hasRank("manager", dag)),
  manage: (dag) => hasRank("manager", dag), // what is no definition, also where these cannot be changed
  admin: (dag) => hasRank("admin", dag),
};

/**
 * Whether the user has a permission, for a DAG: by default that of the page.
 * @param {Right} right
 * @param {string} [dag]
 */
export const may = (right, dag = dagIn(path.value)) => RIGHTS[right](dag);
