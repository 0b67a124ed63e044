// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { newPage } from "./testing/page";

let systemIsDark: boolean;
let systemChanges: () => void;
let leavePage: () => void;

beforeEach(() => {
  localStorage.clear();
  document.documentElement.className = "";
  leavePage = newPage();
  systemIsDark = false;
  vi.stubGlobal("matchMedia", (query: string) => ({
    matches: query === "(prefers-color-scheme: dark)" && systemIsDark,
    addEventListener: (type: string, listener: () => void) => {
      if (type === "change" && query !== "") systemChanges = listener;
    },
  }));
  vi.resetModules();
});
afterEach(() => {
  leavePage();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const isDark = (): boolean => document.documentElement.classList.contains("dark");

describe("the theme", () => {
  it.each([
    [null, "system"],
    ["dark", "dark"],
    ["light", "light"],
    ["blue", "system"],
  ])("that was stored as %j is %s", async (kept, expected) => {
    if (kept !== null) localStorage.setItem("dls:theme", kept);
    const { theme } = await import("./theme");
    expect(theme.getState()).toBe(expected);
  });

  it("is stored when it is chosen, and removed for the system's", async () => {
    const { setTheme, theme } = await import("./theme");
    setTheme("dark");
    expect([theme.getState(), localStorage.getItem("dls:theme"), isDark()]).toEqual(["dark", "dark", true]);
    setTheme("system");
    expect([theme.getState(), localStorage.getItem("dls:theme"), isDark()]).toEqual(["system", null, false]);
  });

  it.each([
    ["light", false],
    ["system", true],
  ] as const)("%s of a dark system makes the page dark: %s", async (chosen, dark) => {
    systemIsDark = true;
    const { setTheme } = await import("./theme");
    setTheme(chosen);
    expect(isDark()).toBe(dark);
  });

  it("follows the system and the other tabs", async () => {
    const { watchStorage } = await import("./storage");
    const { theme, watchTheme } = await import("./theme");
    watchStorage();
    watchTheme();
    systemIsDark = true;
    systemChanges();
    expect([theme.getState(), isDark()]).toEqual(["system", true]);
    localStorage.setItem("dls:theme", "light");
    dispatchEvent(new StorageEvent("storage", { key: "dls:theme" }));
    expect([theme.getState(), isDark()]).toEqual(["light", false]);
  });
});
