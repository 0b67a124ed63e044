/** Waiting in tests: for a condition, with a timeout that only a fault reaches. */
import { onTestFailed, vi } from "vitest";

/** Resolves when the check passes; fails with its last error. */
export const until = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 15_000, interval: 2 });

/** When the test fails, also by a timeout: shows the state at that time. */
export function explain(what: () => unknown): void {
  onTestFailed(() => console.error("When the test failed:", what()));
}
