// API client: JSON requests and responses, errors with the server's message. Paths and types are those of OpenAPI.

import { apiBase } from "./config.js";
import { go, path as currentPath } from "./router.js";
import { headers, isLoggedIn, logInAgain, lose, needsLogin, noteRole } from "./session.js";

/** @import { Change, Get, GetWithEtag, Path, Post, Remove } from "../../types/requests" */

/** Statuses that are handled, not only shown. */
export const HTTP = Object.freeze({
  UNREACHABLE: 0, // no response
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  PRECONDITION_FAILED: 412,
  CONTENT_TOO_LARGE: 413,
  TOO_MANY_REQUESTS: 429,
  SERVER_ERROR: 500,
});

export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{ code?: string, message?: string, details?: Record<string, unknown> } | null} body
   * @param {string | null} [requestId] by which the log of the server names a failure
   */
  constructor(status, body, requestId) {
    const message = body?.message || `the server answered with status ${status}`;
    super(status >= HTTP.SERVER_ERROR && requestId ? `${message} (request ${requestId})` : message);
    this.status = status;
    this.code = body?.code ?? "";
    this.details = body?.details ?? {};
  }
}

/**
 * Build the URL of an operation; parts of a list are escaped, empty query values are omitted.
 * @param {Path} path below /api/v2
 * @param {object} query
 */
export function url(path, query = {}) {
  const target = new URL(typeof path === "string" ? path : path.map(escaped).join("/"), apiBase);
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    for (const item of Array.isArray(value) ? value : [value]) target.searchParams.append(name, item);
  }
  return target;
}

// Browsers resolve a segment "..", escaped or not; a blank before it prevents that, and the API trims names.
const escaped = (/** @type {string} */ part) => encodeURIComponent(/^\.\.?$/.test(part) ? ` ${part}` : part);

/**
 * @typedef {object} Options
 * @property {object} [query]
 * @property {unknown} [body]
 * @property {AbortSignal} [signal]
 * @property {string | null} [etag] of the revision that may be overwritten
 * @property {boolean} [isText] whether the answer is a text, even if it looks like JSON
 */

let bytes = 0;

/** The bytes of all responses so far, as they are sent. */
export const received = () => bytes;

/**
 * Send a request and return the decoded response with its ETag; throws ApiError.
 * @param {string} method
 * @param {Path} path
 * @param {Options} options
 * @returns {Promise<{ answer: any, etag: string | null }>} only the caller knows the type of the answer
 */
async function request(method, path, { query, body, signal, etag, isText } = {}) {
  const ask = () =>
    send(url(path, query), {
      method,
      signal,
      headers: {
        ...headers(),
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...(etag && { "If-Match": etag }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  let response = await ask();
  if (needsFreshLogin(response) && (await logInAgain())) response = await ask();
  bytes += Number(response.headers.get("content-length") ?? 0);
  const answer = isText && response.ok ? await response.text() : await decode(response);
  noteRole(typeof path === "string" ? path : path.join("/"), response);
  if (response.status === HTTP.UNAUTHORIZED && !isAboutPassword(method, path)) requireLogin();
  if (!response.ok) throw new ApiError(response.status, answer, response.headers.get("x-request-id"));
  return { answer, etag: response.headers.get("etag")?.replace(/^W\//, "") ?? null }; // weak when it was compressed
}

/** @type {Get} */
export const get = async (path, query, options) => (await request("GET", path, { ...options, query })).answer;

/** Return a file as a text. @param {Path} path @returns {Promise<string>} */
export const getText = async (path) => (await request("GET", path, { isText: true })).answer;

/** @type {GetWithEtag} */
export const getWithEtag = (path) => request("GET", path);

/** @type {Post} */
export const post = async (path, body) => (await request("POST", path, { body: body ?? {} })).answer;

/** @type {Change<"put">} */
export const put = async (path, body, options) => (await request("PUT", path, { ...options, body })).answer;

/** @type {Change<"patch">} */
export const patch = async (path, body) => (await request("PATCH", path, { body })).answer;

/** @type {Remove} */
export const remove = async (path) => (await request("DELETE", path)).answer;

/** @param {URL} target @param {RequestInit} options */
async function send(target, options) {
  try {
    return await fetch(target, options);
  } catch (error) {
    if (isAbort(error)) throw error;
    const message = "The server cannot be reached. Is it running?";
    throw new ApiError(HTTP.UNREACHABLE, { code: "unreachable", message });
  }
}

/** Whether the request was refused because the login is too old for it (RFC 9470). @param {Response} response */
const needsFreshLogin = ({ status, headers: given }) =>
  status === HTTP.FORBIDDEN && isLoggedIn()
  && (given.get("www-authenticate") ?? "").includes("insufficient_user_authentication");

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/** Convert a thrown value to an Error. @param {unknown} error @returns {Error & { status?: number }} */
export const asError = (error) => (error instanceof Error ? error : new Error(String(error)));

/** @param {Response} response */
async function decode(response) {
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return response.ok ? text : { message: text.slice(0, 500) };
  }
}

/** Whether a refusal may mean a wrong password, of which the form tells. @param {string} method @param {Path} path */
const isAboutPassword = (method, path) =>
  method === "POST" && (path === "auth/session" || path === "auth/change-password");

/** Go to the login, which returns to this page. */
export function requireLogin() {
  if (!needsLogin || currentPath.peek() === "/login") return;
  const next = window.location.pathname + window.location.search + window.location.hash;
  const isFirst = !isLoggedIn() && currentPath.peek() === "/";
  lose();
  go("/login", { search: { next: isFirst ? "" : next }, replace: true });
}
