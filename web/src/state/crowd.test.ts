// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";
import { Crowd, type Followers } from "./crowd";
import { until } from "./testing/wait";

afterEach(() => vi.restoreAllMocks());

/** Tabs that share one count. */
function tabs(names: readonly string[]) {
  let count = 0;
  const rested: string[] = [];
  const followers: Followers = {
    join: (joined) => {
      count++;
      joined();
      return () => void count--;
    },
    count: async () => count,
  };
  const crowds = names.map((name) => new Crowd(followers, () => rested.push(name)));
  return { crowds, rested, count: () => count };
}

function setHidden(hidden: boolean): void {
  vi.spyOn(document, "visibilityState", "get").mockReturnValue(hidden ? "hidden" : "visible");
  document.dispatchEvent(new Event("visibilitychange"));
}

describe("a crowd of tabs", () => {
  it("makes room when more follow than there is room for, and those are hidden", async () => {
    const { crowds, rested } = tabs(["a", "b", "c", "d"]);
    for (const crowd of crowds) crowd.follows = true;
    setHidden(true);
    await until(() => expect(new Set(rested)).toEqual(new Set(["a", "b", "c", "d"])));
  });

  it("has room for three, hidden or not", async () => {
    const { crowds, rested, count } = tabs(["a", "b", "c", "d"]);
    for (const crowd of crowds.slice(0, 3)) crowd.follows = true;
    setHidden(true);
    await Promise.resolve();
    expect([rested, count()]).toEqual([[], 3]);
  });

  it("counts a tab once, and no longer when it follows nothing", () => {
    const { crowds, count } = tabs(["a", "b"]);
    for (const crowd of crowds) {
      crowd.follows = true;
      crowd.follows = true;
    }
    expect(count()).toBe(2);
    crowds[0]!.follows = false;
    crowds[0]!.follows = false;
    expect(count()).toBe(1);
  });

  it("never asks a tab that is seen", async () => {
    const { crowds, rested } = tabs(["a", "b", "c", "d", "e"]);
    for (const crowd of crowds) crowd.follows = true;
    setHidden(false);
    await Promise.resolve();
    expect(rested).toEqual([]);
  });
});
