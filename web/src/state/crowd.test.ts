// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Crowd, type Followers, followers } from "./crowd";
import { until } from "./testing/wait";

beforeEach(() => void vi.stubGlobal("BroadcastChannel", undefined));
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

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
  it("disconnects hidden tabs when too many follow", async () => {
    const { crowds, rested } = tabs(["a", "b", "c", "d", "follows nothing"]);
    for (const crowd of crowds.slice(0, 4)) crowd.follows = true;
    setHidden(true);
    await until(() => expect(new Set(rested)).toEqual(new Set(["a", "b", "c", "d"])));
  });

  it("allows three followers, hidden or not", async () => {
    const { crowds, rested, count } = tabs(["a", "b", "c", "d"]);
    for (const crowd of crowds.slice(0, 3)) crowd.follows = true;
    setHidden(true);
    await Promise.resolve();
    expect([rested, count()]).toEqual([[], 3]);
  });

  it("counts a tab once, and only while it follows a run", () => {
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

  it("never disconnects a visible tab", async () => {
    const { crowds, rested } = tabs(["a", "b", "c", "d", "e"]);
    for (const crowd of crowds) crowd.follows = true;
    setHidden(false);
    await Promise.resolve();
    expect(rested).toEqual([]);
  });
});

describe("a new tab", () => {
  it("makes the hidden ones among the others check the limit", async () => {
    const channels: { name: string; onmessage: (() => void) | null; posted: unknown[] }[] = [];
    vi.stubGlobal(
      "BroadcastChannel",
      class {
        onmessage: (() => void) | null = null;
        posted: unknown[] = [];
        constructor(readonly name: string) {
          channels.push(this);
        }
        postMessage(message: unknown): void {
          this.posted.push(message);
        }
      },
    );
    const { crowds, rested } = tabs(["a", "b", "c", "d"]);
    for (const crowd of crowds) crowd.follows = true;
    expect(channels.map(({ name, posted }) => [name, posted])).toEqual(
      Array(4).fill(["dls:following", ["joined"]]),
    );
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    channels[1]?.onmessage?.();
    await until(() => expect(rested).toEqual(["b"]));
  });
});

describe("the followers", () => {
  /** The browser's locks: their holders and modes. */
  function stubLocks(...held: { name: string }[]) {
    const asked: unknown[][] = [];
    const request = async (name: string, options: object, work: () => Promise<void>) => {
      asked.push([name, options]);
      const lock = { name };
      held.push(lock);
      await work();
      held.splice(held.indexOf(lock), 1);
    };
    vi.stubGlobal("navigator", { locks: { request, query: async () => ({ held }) } });
    return asked;
  }

  it("share a lock until they disconnect, and are counted by it", async () => {
    const asked = stubLocks({ name: "dls:feed" });
    const joined = vi.fn();
    const leave = [followers.join(joined), followers.join(joined)];
    expect([asked, joined.mock.calls.length, await followers.count()]).toEqual([
      Array(2).fill(["dls:following", { mode: "shared" }]),
      2,
      2,
    ]);
    leave[0]?.();
    await until(async () => expect(await followers.count()).toBe(1));
  });

  it("are zero where the browser cannot query locks, or has none", async () => {
    vi.stubGlobal("navigator", { locks: { query: async () => ({}) } });
    expect(await followers.count()).toBe(0);
    vi.stubGlobal("navigator", {});
    const joined = vi.fn();
    followers.join(joined)();
    expect([await followers.count(), joined.mock.calls]).toEqual([0, []]);
  });
});
