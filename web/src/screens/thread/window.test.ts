import { describe, expect, it } from "vitest";
import { earlier, FIRST, fit, later, MOST, newest, type Window } from "./window";

const size = ({ from, to }: Window): number => to - from;

describe("the window of mounted messages", () => {
  it("starts with the newest messages", () => {
    expect(newest(1000)).toEqual({ from: 1000 - FIRST, to: 1000 });
    expect(newest(3)).toEqual({ from: 0, to: 3 });
    expect(newest(0)).toEqual({ from: 0, to: 0 });
  });

  it("never mounts more than the limit, in both directions", () => {
    let window = newest(1000);
    for (let step = 0; step < 50; step++) {
      window = earlier(window);
      expect(size(window)).toBeLessThanOrEqual(MOST);
    }
    expect(window.from).toBe(0);
    for (let step = 0; step < 50; step++) {
      window = later(window, 1000);
      expect(size(window)).toBeLessThanOrEqual(MOST);
    }
    expect(window.to).toBe(1000);
  });

  it("moves in overlapping steps, so that visible messages stay mounted", () => {
    const before = newest(1000);
    const after = earlier(before);
    expect(after.from).toBeLessThan(before.from);
    expect(after.to).toBeGreaterThan(before.from + FIRST - 1);
  });

  it("stays at the end when messages arrive, but only if it was there", () => {
    expect(fit(newest(40), 40, 42)).toEqual({ from: 10, to: 42 });
    const away = { from: 0, to: 120 };
    expect(fit(away, 1000, 1002)).toBe(away);
  });

  it("starts again when the list shrinks: another branch is shown", () => {
    expect(fit({ from: 0, to: 120 }, 1000, 10)).toEqual({ from: 0, to: 10 });
  });
});
