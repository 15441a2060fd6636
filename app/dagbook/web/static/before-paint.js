// Runs before the first paint: the chosen theme (lib/theme.js), and whether the frame of the page shows at once.
// Without a session the login page comes next, which has none; a link of another site does not tell the server of one.
{
  const root = document.documentElement;
  /** @type {HTMLMetaElement | null} */
  const meta = document.querySelector('meta[name="dagbook"]');
  const { login, session } = JSON.parse(meta?.content ?? "{}");
  let theme = null;
  let isKnown = true;
  try {
    theme = localStorage.getItem("dagbook.theme");
    isKnown = localStorage.getItem("dagbook.session") !== null; // lib/session.js
  } catch {
    // storage is disabled
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  const isLogin = location.pathname.endsWith("/login");
  if (!isLogin && (!login || session || isKnown)) root.dataset.frame = "";
}
