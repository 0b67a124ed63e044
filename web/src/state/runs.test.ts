import { describe, expect, it, vi } from "vitest";
import { onNewRun } from "./runs";

/** A transport with a current run for a chat. */
function following(runId?: string) {
  const listeners = new Set<() => void>();
  const transport = {
    getState: () => ({ runId }),
    subscribe: (_: string, listener: () => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Parameters<typeof onNewRun>[0];
  const name = (run: string | undefined): void => {
    runId = run;
    for (const listener of listeners) listener();
  };
  return { transport, name };
}

describe("a new run", () => {
  it.each([undefined, "r1"])("is reported once, when it is named (before: %s)", (before) => {
    const { transport, name } = following(before);
    const then = vi.fn();
    onNewRun(transport, "c1", then);
    for (const run of [before, undefined]) name(run);
    expect(then).not.toHaveBeenCalled();
    for (const run of ["r2", "r2", "r3"]) name(run);
    expect(then).toHaveBeenCalledOnce();
  });

  it("is not reported after an unsubscribe", () => {
    const { transport, name } = following();
    const then = vi.fn();
    onNewRun(transport, "c1", then)();
    name("r1");
    expect(then).not.toHaveBeenCalled();
  });
});
