// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { pause } from "./backoff";

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** The length of a delay, in milliseconds of the test's clock. */
async function lengthOf(attempt: number, least?: number): Promise<number> {
  const start = Date.now();
  const end = pause(attempt, least).then(() => Date.now() - start);
  await vi.runAllTimersAsync();
  return end;
}

describe("a backoff", () => {
  it("grows with each failure, up to 15 seconds", async () => {
    const lengths: number[] = [];
    for (let attempt = 1; attempt <= 8; attempt++) lengths.push(await lengthOf(attempt));
    expect(lengths).toEqual([400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000]);
  });

  it("is half random (jitter)", async () => {
    vi.mocked(Math.random).mockReturnValue(0);
    expect(await lengthOf(3)).toBe(800);
  });

  it("is at least as long as the server asks", async () => {
    expect(await lengthOf(1, 20_000)).toBe(20_000);
    expect(await lengthOf(4, 1_000)).toBe(3_200);
  });

  it.each([
    ["the network is back", () => dispatchEvent(new Event("online"))],
    ["the page is seen again", () => document.dispatchEvent(new Event("visibilitychange"))],
  ])("ends at once when %s", async (_, happens) => {
    const start = Date.now();
    const end = pause(5);
    happens();
    await end;
    expect(Date.now()).toBe(start);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not end when the page is hidden", async () => {
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    let isOver = false;
    void pause(1).then(() => (isOver = true));
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(399);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
  });
});
