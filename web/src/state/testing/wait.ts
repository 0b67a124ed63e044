/** Waiting in tests: for a condition, with a limit that only a fault reaches. */
import { onTestFailed, vi } from "vitest";

/** Resolves when the check passes; fails with what it last said. */
export const until = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 15_000, interval: 2 });

/** When the test fails, also for lack of time: shows what there was then. */
export function explain(what: () => unknown): void {
  onTestFailed(() => console.error("When the test failed:", what()));
}
