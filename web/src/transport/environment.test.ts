import { afterEach, describe, expect, it, vi } from "vitest";
import { hostEnvironment, systemClock } from "./environment.js";

afterEach(() => vi.unstubAllGlobals());

/** The part of a page that the environment reads. */
function browser() {
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const world = new EventTarget();
  const navigator = { onLine: true };
  vi.stubGlobal("document", page);
  vi.stubGlobal("navigator", navigator);
  vi.stubGlobal("addEventListener", world.addEventListener.bind(world));
  vi.stubGlobal("removeEventListener", world.removeEventListener.bind(world));
  return { page, world, navigator };
}

describe("the host's environment", () => {
  it("notifies of network and visibility changes in a browser", () => {
    const { page, world, navigator } = browser();
    const events: string[] = [];
    const ends = (["online", "offline", "visible", "hidden"] as const).map((event) =>
      hostEnvironment.on(event, () => events.push(event)),
    );
    const happen = () => {
      navigator.onLine = false;
      world.dispatchEvent(new Event("offline"));
      page.visibilityState = "hidden";
      page.dispatchEvent(new Event("visibilitychange"));
      page.visibilityState = "visible";
      page.dispatchEvent(new Event("visibilitychange"));
      world.dispatchEvent(new Event("online"));
    };
    happen();
    expect(events).toEqual(["offline", "hidden", "visible", "online"]);
    expect(hostEnvironment.isOnline()).toBe(false);
    for (const end of ends) end();
    happen();
    expect(events).toHaveLength(4);
  });

  it("recognises a hidden page and an offline browser", () => {
    const { page, navigator } = browser();
    expect([hostEnvironment.isOnline(), hostEnvironment.isVisible()]).toEqual([true, true]);
    page.visibilityState = "hidden";
    navigator.onLine = false;
    expect([hostEnvironment.isOnline(), hostEnvironment.isVisible()]).toEqual([false, false]);
  });

  it("is online where there is no navigator", () => {
    vi.stubGlobal("navigator", undefined);
    expect(hostEnvironment.isOnline()).toBe(true);
  });

  it("is always online and visible in Node, without events", () => {
    expect([hostEnvironment.isOnline(), hostEnvironment.isVisible()]).toEqual([true, true]);
    for (const event of ["online", "hidden"] as const) hostEnvironment.on(event, () => {})();
  });
});

describe("the system's clock", () => {
  afterEach(() => vi.useRealTimers());

  it("calls back after a delay, unless cancelled", () => {
    vi.useFakeTimers();
    const called: string[] = [];
    systemClock.after(100, () => called.push("kept"));
    systemClock.after(100, () => called.push("ended"))();
    systemClock.after(Number.POSITIVE_INFINITY, () => called.push("never"));
    const before = systemClock.now();
    vi.advanceTimersByTime(100);
    expect(called).toEqual(["kept"]);
    expect(systemClock.now() - before).toBe(100);
    expect(vi.getTimerCount()).toBe(0);
    systemClock.after(2 ** 31 - 1, () => undefined); // the longest timer
    expect(vi.getTimerCount()).toBe(1);
  });
});
