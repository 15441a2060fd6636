// Access to the clipboard.

/**
 * Copy a text to the clipboard; returns whether that succeeded. Browsers refuse the modern way on pages without HTTPS.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyOld(text);
  }
}

/** @param {string} text */
function copyOld(text) {
  const area = document.createElement("textarea");
  area.value = text;
  const host = document.querySelector("dialog[open]") ?? document.body;
  host.append(area);
  area.select();
  const done = document.execCommand("copy"); // deprecated, but the only way over plain HTTP
  area.remove();
  return done;
}
