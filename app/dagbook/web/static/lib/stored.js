// What this browser keeps for the user. Where storage is disabled or full, it is lost with the tab.

/** The text of a key; null without one. @param {string} key */
export function stored(key) {
  try {
    return window.localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** The value of a key that was stored as JSON; null without one. @param {string} key */
export function storedValue(key) {
  try {
    return JSON.parse(stored(key) ?? "null");
  } catch {
    return null; // in the format of another version
  }
}

/** The keys of all that is stored. */
export function storedKeys() {
  try {
    return Object.keys(window.localStorage);
  } catch {
    return [];
  }
}

/** Store a text; null deletes it. @param {string} key @param {string | null} text */
export function store(key, text) {
  try {
    if (text === null) window.localStorage.removeItem(key);
    else window.localStorage.setItem(key, text);
  } catch {
    // disabled or full
  }
}
