// What this browser keeps for the user. Where storage is disabled or full, it is lost with the tab.

/**
 * What `use` makes of the storage, or `otherwise`.
 * @template T
 * @param {(storage: Storage) => T} use
 * @param {T} otherwise
 */
export function inStorage(use, otherwise) {
  try {
    return use(window.localStorage);
  } catch {
    return otherwise; // it is disabled or full, or the value is in the format of another version
  }
}

/** The text of a key; null without one. @param {string} key */
export const stored = (key) => inStorage((storage) => storage.getItem(key), null);

/** The value of a key that was stored as JSON; null without one. @param {string} key */
export const storedValue = (key) => inStorage((storage) => JSON.parse(storage.getItem(key) ?? "null"), null);

/** Store a text; null deletes it. @param {string} key @param {string | null} text */
export const store = (key, text) =>
  inStorage((storage) => (text === null ? storage.removeItem(key) : storage.setItem(key, text)), undefined);
