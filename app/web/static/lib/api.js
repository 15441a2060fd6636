// Requests to the API: JSON in and out, errors with the server's own words.

import { apiBase } from "./facts.js";
import { go, path as currentPath } from "./router.js";
import { keep, needsLogin, token } from "./session.js";

export class ApiError extends Error {
  constructor(status, body) {
    super(body?.message || `the server answered with status ${status}`);
    this.status = status;
    this.code = body?.code ?? "";
    this.details = body?.details ?? {};
  }
}

/** Build the URL of an operation; parts of a list are escaped, empty query values left out. */
export function url(path, query = {}) {
  const target = new URL(Array.isArray(path) ? path.map(segment).join("/") : path, apiBase);
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) target.searchParams.append(name, one);
  }
  return target;
}

/** Browsers go up for a step that is called "..", escaped or not; the API trims names, so a blank keeps it in its place. */
function segment(part) {
  return encodeURIComponent(part === "." || part === ".." ? ` ${part}` : part);
}

export function headers() {
  return token.peek() ? { Authorization: `Bearer ${token.peek()}` } : {};
}

/**
 * Ask the API and return the decoded answer; throws ApiError.
 * @param {string | string[]} path below /api/v2
 */
export async function ask(path, { method = "GET", query, body, signal, etag, whole = false } = {}) {
  const extra = body === undefined ? {} : { "Content-Type": "application/json" };
  if (etag) extra["If-Match"] = etag;
  const response = await send(url(path, query), {
    method,
    signal,
    headers: { ...headers(), ...extra },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const answer = await decode(response);
  if (!response.ok) throw refuse(response, answer);
  return whole ? { answer, etag: response.headers.get("etag"), response } : answer;
}

export const get = (path, query, options) => ask(path, { ...options, query });
export const post = (path, body = {}, options) => ask(path, { ...options, method: "POST", body });

async function send(target, options) {
  try {
    return await fetch(target, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "unreachable", message: "The server cannot be reached. Is it running?" });
  }
}

async function decode(response) {
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return response.ok ? text : { message: text.slice(0, 500) };
  }
}

function refuse(response, answer) {
  if (response.status === 401) askToLogIn();
  return new ApiError(response.status, answer);
}

/** A token that is void leads to the login, and from there back to this page. */
export function askToLogIn() {
  if (!needsLogin || token.peek() === null || currentPath.peek() === "/login") return;
  const next = window.location.pathname + window.location.search + window.location.hash;
  keep(null);
  go("/login", { search: { next }, replace: true });
}
