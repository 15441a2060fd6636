// The browser's title says what the page is.

import { useEffect } from "../vendor/core.js";

/** Show a title such as "etl · failed · 14:32 – Dagbook". */
export function useTitle(...parts) {
  const text = parts.filter(Boolean).join(" · ");
  useEffect(() => {
    document.title = text ? `${text} – Dagbook` : "Dagbook";
  }, [text]);
}
