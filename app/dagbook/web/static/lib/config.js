// Configuration from the server's HTML document, and base addresses.

/** @import { Config } from "../../types/ui" */

/** @type {HTMLMetaElement | null} */
const element = document.querySelector('meta[name="dagbook"]');

/** @type {Config} */
export const config = JSON.parse(element?.content ?? "{}");
export const base = new URL(document.baseURI);
export const apiBase = new URL("api/v2/", base);
