// Router: paths relative to the base path, navigation without reload, and the query string as state.

import { batch, computed, signal } from "../vendor/core.js";
import { base } from "./config.js";
import { find } from "./routes.js";
import { keepPlace, keptPlace, leave, returnTo, start as startPlaces } from "./scroll.js";

/** @import { Component, Route } from "./routes.js" */
/** @typedef {ReturnType<typeof read>} Address */

const prefix = base.pathname.replace(/\/$/, "");
const address = signal(read());

export const path = computed(() => address.value.path);
export const query = computed(() => new URLSearchParams(address.value.search));
export const hash = computed(() => address.value.hash);

/** The page that is shown; null before the first. */
export const page = signal(/** @type {{ route: Route, Page: Component } | null} */ (null));

/** The page that is being loaded, or could not be; the one before stays until it is there. */
export const opening = signal(/** @type {{ url: URL, error: Error | null } | null} */ (null));

/** @param {URL | Location} url */
function read({ pathname, search, hash: fragment } = window.location) {
  const inside = pathname.startsWith(prefix) ? pathname.slice(prefix.length) : pathname;
  const trimmed = inside.length > 1 ? inside.replace(/\/+$/, "") : inside;
  return { path: trimmed || "/", search, hash: fragment };
}

/** The href of a path; parts of a list are escaped. @param {string | readonly string[]} to @param {object} [search] */
export function href(to, search) {
  const inside = Array.isArray(to) ? `/${to.map(encodeURIComponent).join("/")}` : to;
  const text = search ? new URLSearchParams(clean(search)).toString() : "";
  return prefix + inside + (text && `?${text}`);
}

/**
 * Go to a path or href.
 * @param {string | readonly string[]} to
 * @param {{ search?: object, replace?: boolean }} [options]
 */
export function go(to, { search, replace = false } = {}) {
  const target = typeof to === "string" && to.startsWith(prefix + "/") && prefix ? to : href(to, search);
  visit(new URL(target, base), { replace });
}

/**
 * Show another address; a new page is scrolled to its top. Unsaved changes must be confirmed first.
 * @param {URL} url
 * @param {{ replace?: boolean }} [options]
 */
function visit(url, { replace = false } = {}) {
  const elsewhere = read(url).path !== path.peek();
  if (elsewhere && !mayLeave()) return;
  show(url, () => {
    leave();
    if (url.href !== window.location.href) window.history[replace ? "replaceState" : "pushState"](null, "", url.href);
    if (elsewhere) window.scrollTo(0, 0);
  });
}

/**
 * Load the page of an address, and show it when it is loaded, unless the user has gone elsewhere by then.
 * @param {URL} url
 * @param {() => void} [commit] called when it is shown
 */
export async function show(url, commit = () => {}) {
  const route = find(read(url).path);
  const own = { url, error: null };
  try {
    if (!loaded.has(route.load)) {
      opening.value = own;
      loaded.set(route.load, (await route.load()).default);
      if (opening.peek() !== own) return;
    }
  } catch (error) {
    if (opening.peek() === own) opening.value = { url, error: /** @type {Error} */ (error) };
    return;
  }
  batch(() => {
    commit();
    address.value = read();
    page.value = { route, Page: /** @type {Component} */ (loaded.get(route.load)) };
    opening.value = null;
  });
}

/** @type {Map<Route["load"], Component>} */
const loaded = new Map();

/** Stay on the page that is shown. */
export const stay = () => void (opening.value = null);

/**
 * Open the page that could not be loaded, if the server answers. It is a new document: browsers keep the failure of a
 * script for as long as a document lives, and the server may have another version by now.
 */
export async function reopen() {
  const failed = opening.peek();
  if (!failed?.error || !(await fetch(failed.url).catch(() => null))) return;
  if (failed !== opening.peek()) return;
  if (failed.url.href === window.location.href) window.location.reload();
  else window.location.assign(failed.url);
}

const unsaved = new Set();

/** Ask before the page is left while `isUnsaved` is true; returns what ends it. @param {() => boolean} isUnsaved */
export function guard(isUnsaved) {
  const warn = (/** @type {Event} */ event) => isUnsaved() && event.preventDefault();
  unsaved.add(isUnsaved);
  window.addEventListener("beforeunload", warn);
  return () => {
    unsaved.delete(isUnsaved);
    window.removeEventListener("beforeunload", warn);
  };
}

function mayLeave() {
  return ![...unsaved].some((isUnsaved) => isUnsaved())
    || window.confirm("What you have changed here is not saved. Leave it?");
}

/**
 * Change parameters of the query string; null and "" remove one.
 * @param {Record<string, string | number | null>} changes
 * @param {{ replace?: boolean }} [options]
 */
export function setQuery(changes, { replace = true } = {}) {
  const next = Object.fromEntries(query.peek());
  const search = new URLSearchParams(clean({ ...next, ...changes })).toString();
  const target = prefix + path.peek() + (search && `?${search}`) + window.location.hash;
  if (!replace) keepPlace();
  window.history[replace ? "replaceState" : "pushState"](replace ? window.history.state : null, "", target);
  address.value = read();
}

/** Change the fragment without scrolling. @param {string} fragment */
export function setHash(fragment) {
  const { pathname, search } = window.location;
  window.history.replaceState(window.history.state, "", pathname + search + (fragment && `#${fragment}`));
  address.value = read();
}

/** @param {object} values */
function clean(values) {
  return Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
}

/** @param {MouseEvent} event */
function follow(event) {
  if (!(event.target instanceof Element)) return;
  /** @type {HTMLAnchorElement | null} */
  const link = event.target.closest("a[href]");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  const url = new URL(link.href);
  if (url.origin !== base.origin || !(url.pathname + "/").startsWith(prefix + "/")) return;
  event.preventDefault();
  visit(url);
}

/** Start to handle links and the back button. */
export function start() {
  document.addEventListener("click", follow);
  window.addEventListener("popstate", () => {
    const before = address.peek();
    const after = read();
    if (after.path !== before.path && !mayLeave()) {
      // The browser has already changed the address: push the previous one again.
      window.history.pushState(null, "", prefix + before.path + before.search + before.hash);
      return;
    }
    const top = keptPlace();
    show(new URL(window.location.href), () => returnTo(top));
  });
  startPlaces();
}
