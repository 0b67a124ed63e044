/** Light, dark, or the system's setting. public/theme.js applies it before the first paint. */
import { createStore } from "zustand/vanilla";
import { onChangeElsewhere, read, write } from "./storage";

export type Theme = "light" | "dark" | "system";

export const theme = createStore<Theme>(() => chosen());

export function setTheme(value: Theme): void {
  write("theme", value === "system" ? null : value);
  theme.setState(value, true);
  apply();
}

/** Follow the system and the other tabs, once for the page. */
export function watchTheme(): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  onChangeElsewhere("theme", () => {
    theme.setState(chosen(), true);
    apply();
  });
}

function chosen(): Theme {
  const value = read("theme");
  return value === "light" || value === "dark" ? value : "system";
}

function apply(): void {
  const value = theme.getState();
  const system = matchMedia("(prefers-color-scheme: dark)").matches;
  const dark = value === "dark" || (value === "system" && system);
  document.documentElement.classList.toggle("dark", dark);
}
