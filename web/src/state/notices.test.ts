// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { announce, announcement, dismiss, missPart, page, toast, watchNetwork } from "./notices";
import { newPage } from "./testing/page";

let leavePage: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  leavePage = newPage();
  page.setState({ offline: false, feed: "connecting", stale: false, toasts: [] });
});
afterEach(() => {
  leavePage();
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const texts = (): string[] => page.getState().toasts.map(({ text }) => text);

it("starts without problems, and without a feed", async () => {
  vi.resetModules();
  vi.spyOn(navigator, "onLine", "get").mockReturnValue(true);
  const fresh = await import("./notices");
  expect(fresh.page.getState()).toEqual({
    offline: false,
    feed: "connecting",
    expired: false,
    cookieless: false,
    stale: false,
    toasts: [],
  });
  expect(fresh.announcement.getState()).toEqual({ text: "", count: 0 });
});

describe("a toast", () => {
  it("is shown for six seconds, or for its own duration", () => {
    toast("short");
    toast("long", undefined, 8_000);
    vi.advanceTimersByTime(5_999);
    expect(texts()).toEqual(["short", "long"]);
    vi.advanceTimersByTime(1);
    expect(texts()).toEqual(["long"]);
    vi.advanceTimersByTime(2_000);
    expect(texts()).toEqual([]);
  });

  it("has an id and an action, and can be dismissed earlier", () => {
    const action = { label: "Undo", run: () => undefined };
    const [first, second] = [toast("one", action), toast("two")];
    expect(page.getState().toasts).toEqual([
      { id: first, text: "one", action },
      { id: second, text: "two", action: undefined },
    ]);
    dismiss(first);
    expect(texts()).toEqual(["two"]);
  });

  it("is limited to the last three", () => {
    for (const text of ["a", "b", "c", "d"]) toast(text);
    expect(texts()).toEqual(["b", "c", "d"]);
  });

  it("is announced; a duplicate is announced again", () => {
    const { count } = announcement.getState();
    toast("Deleted.");
    announce("Deleted.");
    expect(announcement.getState()).toEqual({ text: "Deleted.", count: count + 2 });
  });
});

describe("a part of the interface that cannot be loaded", () => {
  it.each([
    ["is gone when the server answers", () => Promise.resolve(new Response()), true],
    ["is told elsewhere when it does not", () => Promise.reject(new TypeError("no")), false],
  ])("%s", async (_, answer, stale) => {
    const fetched = vi.fn(answer);
    vi.stubGlobal("fetch", fetched);
    await missPart();
    expect(page.getState().stale).toBe(stale);
    expect(fetched).toHaveBeenCalledWith("/healthz", { cache: "no-store" });
  });
});

describe("the browser's network", () => {
  it.each([
    ["down", "connecting"],
    ["up", "up"],
  ] as const)("that is lost makes a feed that is %s %s", (before, after) => {
    watchNetwork();
    page.setState({ feed: before });
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
    dispatchEvent(new Event("offline"));
    expect(page.getState()).toMatchObject({ offline: true, feed: after });
    vi.spyOn(navigator, "onLine", "get").mockReturnValue(true);
    dispatchEvent(new Event("online"));
    expect(page.getState()).toMatchObject({ offline: false, feed: after });
  });
});
