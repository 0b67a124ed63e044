// @vitest-environment jsdom
import { afterEach, describe, expect, it, vi } from "vitest";
import { FrameState, nextFrame } from "./frames";
import type { Message } from "./model";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const message = (id: string, text = id): Message => ({ id, role: "user", parts: [{ type: "text", text }] });

/** A state, the number of its publications, and its pending frame. */
function framed() {
  const frames: (() => void)[] = [];
  let published = 0;
  const state = new FrameState(() => published++, (run) => frames.push(run));
  return { state, frames, published: () => published };
}

describe("the state of a chat", () => {
  it("is published once per frame, however many chunks arrive", () => {
    const { state, frames, published } = framed();
    state.pushMessage(message("m1"));
    state.pushMessage(message("m2"));
    state.replaceMessage(1, message("m3"));
    state.popMessage();
    expect([published(), frames.length]).toEqual([0, 1]);
    frames[0]?.();
    expect([published(), state.messages.map(({ id }) => id)]).toEqual([1, ["m1"]]);
    state.popMessage();
    expect([state.messages, frames.length]).toEqual([[], 2]);
    frames[1]?.();
    state.messages = [message("m4")];
    state.replaceMessage(0, message("m5"));
    expect(frames).toHaveLength(3);
  });

  it("is published at once when its status, its error or its list changes", () => {
    const { state, published } = framed();
    expect([state.status, state.error]).toEqual(["ready", undefined]);
    state.status = "streaming";
    state.error = new Error("No.");
    const list = [message("m1")];
    state.messages = list;
    expect([published(), state.status, state.error.message]).toEqual([3, "streaming", "No."]);
    expect([state.messages, state.messages === list]).toEqual([list, false]);
  });

  it("changes as new objects: the shown ones are not modified", () => {
    const { state } = framed();
    state.messages = [message("m1"), message("m2")];
    const before = state.messages;
    const written: Message = { ...message("m2", "One"), metadata: { run: "r1" } };
    state.replaceMessage(1, written);
    const shown = state.messages[1];
    expect([before[1], shown]).toEqual([message("m2"), written]);
    Object.assign(written.parts[0]!, { text: "One two" });
    written.metadata!.run = "r2";
    expect(shown).toMatchObject({ parts: [{ text: "One" }], metadata: { run: "r1" } });
    state.pushMessage(message("m3"));
    expect(before).toHaveLength(2);
  });

  it("copies messages alone", () => {
    const { state } = framed();
    for (const value of [null, "text", 1, { id: "no parts" }]) expect(state.snapshot(value)).toBe(value);
    expect(state.snapshot(message("m1"))).toEqual({ ...message("m1"), metadata: undefined });
  });
});

describe("the next frame", () => {
  const isSeen = (seen: boolean) =>
    vi.spyOn(document, "visibilityState", "get").mockReturnValue(seen ? "visible" : "hidden");

  it("is the browser's on a visible page", () => {
    isSeen(true);
    const asked: unknown[] = [];
    vi.stubGlobal("requestAnimationFrame", (run: unknown) => asked.push(run));
    const run = (): void => undefined;
    nextFrame(run);
    expect(asked).toEqual([run]);
  });

  it("comes after a tenth of a second on a hidden page", () => {
    vi.useFakeTimers();
    isSeen(false);
    const run = vi.fn();
    nextFrame(run);
    vi.advanceTimersByTime(99);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
  });
});
