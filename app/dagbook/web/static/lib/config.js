// What the server told with the document, and where it lies.

/** @type {HTMLMetaElement | null} */
const element = document.querySelector('meta[name="dagbook"]');

/**
 * @typedef {object} Facts
 * @property {string} version
 * @property {"" | "token" | "builtin"} login how people say who they are
 * @property {boolean} runs whether runs may be started
 * @property {boolean} writes whether definitions may be changed
 * @property {string} zone
 */

/** @type {Facts} */
export const facts = JSON.parse(element?.content ?? "{}");
export const base = new URL(document.baseURI);
export const apiBase = new URL("api/v2/", base);
