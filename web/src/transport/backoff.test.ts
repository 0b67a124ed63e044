import { describe, expect, it } from "vitest";
import { DEFAULT_BACKOFF, pauseMs, retryAfterMs } from "./backoff.js";

describe("the delay between attempts", () => {
  const longest = (failures: number, floor = 0) =>
    pauseMs(DEFAULT_BACKOFF, failures, floor, () => 1);

  it("doubles from 250 ms up to 15 s", () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8].map((failures) => longest(failures));
    expect(pauses).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
    expect(longest(10_000)).toBe(15_000);
  });

  it("has full jitter", () => {
    expect(pauseMs(DEFAULT_BACKOFF, 5, 0, () => 0)).toBe(0);
    expect(pauseMs(DEFAULT_BACKOFF, 5, 0, () => 0.25)).toBe(1000);
  });

  it("is never shorter than what the server asks for, and still jittered", () => {
    expect(pauseMs(DEFAULT_BACKOFF, 1, 1000, () => 0)).toBe(1000);
    expect(longest(1, 1000)).toBe(1250);
    expect(longest(20, 1000)).toBe(15_000);
    expect(longest(20, 60_000)).toBe(60_250);
  });
});

describe("Retry-After", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");

  it.each([
    ["120", 120_000],
    ["0", 0],
    [" 120 ", 120_000],
    ["21 Oct 2026 07:28:30 GMT", 30_000],
    ["Wed, 21 Oct 2026 07:28:30 +0000", 30_000],
    ["Wed, 21 Oct 2026 07:28:30 GMT", 30_000],
    ["Wed, 21 Oct 2026 07:00:00 GMT", 0],
    ["99999999999", 86_400_000],
  ])("reads %j", (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });

  it.each([null, "", "soon", "1.5x"])("does not read %j", (header) => {
    expect(retryAfterMs(header, now)).toBeUndefined();
  });
});
