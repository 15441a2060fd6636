// Configuration from the server's HTML document, and base addresses.

/** @type {HTMLMetaElement | null} */
const element = document.querySelector('meta[name="dagbook"]');

/**
 * @typedef {object} Config
 * @property {string} version
 * @property {"" | "token" | "builtin"} login kind of login; empty without authentication
 * @property {string} provider host at which users may log in, too; empty without one
 * @property {boolean} runs whether permissions_run_dags is on
 * @property {boolean} writes whether permissions_write_dags is on
 * @property {string} zone
 * @property {string[]} examples names of the example DAGs
 * @property {boolean} held whether the database was restored and nothing starts
 * @property {Api.BrowserSession} [session] that of the browser, if the server knows it
 * @property {string} snapshot name of the file that is shown instead of a database, or empty
 */

/** @type {Config} */
export const config = JSON.parse(element?.content ?? "{}");
export const base = new URL(document.baseURI);
export const apiBase = new URL("api/v2/", base);
