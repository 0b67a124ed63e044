// Before the first paint, so that a dark page never flashes white and a closed sidebar is not seen.
// A file of its own, because the Content-Security-Policy allows no inline scripts.
// src/state/theme.ts keeps the theme up to date.
(() => {
  const base = new URL(document.querySelector("base")?.href ?? "/", location.href).pathname;
  const scope = base === "/" ? "dls:" : `dls:${base}:`; // as in src/state/base.ts
  let chosen = null;
  let sidebar = null;
  try {
    chosen = localStorage.getItem(`${scope}theme`);
    sidebar = localStorage.getItem(`${scope}sidebar`);
  } catch {
    // storage is forbidden: follow the system
  }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
  document.documentElement.classList.toggle("sidebar-closed", sidebar === "closed");
})();
