// Before the first paint, so that a dark page never flashes white. A file of its own, because the
// Content-Security-Policy allows no inline scripts. src/state/theme.ts keeps it up to date.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("dls:theme");
  } catch {
    // storage is forbidden: follow the system
  }
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", dark);
})();
