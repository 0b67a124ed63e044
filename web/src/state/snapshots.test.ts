import { describe, expect, it } from "vitest";
import type { ChatRow, FeedEvent, Message, RunStatus, Snapshot } from "./model";
import { isNews, isOnBranch, reuse, saidBy } from "./snapshots";

const question: Message = { id: "m1", role: "user", parts: [{ type: "text", text: "Hello" }] };

function answer(status?: RunStatus): Message {
  const metadata = status === undefined ? { run: "r1" } : { run: "r1", status };
  return { id: "a1", role: "assistant", parts: [{ type: "text", text: "Hi" }], metadata };
}

const at = "2026-01-01T00:00:00Z";
const chat: ChatRow = { id: "c1", title: "Chat", created_at: at, updated_at: at, active: false };
const started = (run: string): FeedEvent => ({ type: "run-started", chat, run, message: "a1" });
const ended: FeedEvent = { type: "run-ended", chat, run: "r1", message: "a1", status: "finished" };

describe("a change for an open chat", () => {
  const isNewsFor = (event: FeedEvent, messages: Message[] = [], busy = false, exists = true) =>
    isNews(event, messages, busy, exists);

  it("is a feed with a gap, for an existing chat without a followed run", () => {
    const gap: FeedEvent = { type: "open", complete: false };
    expect(isNewsFor(gap)).toBe(true);
    expect(isNewsFor({ type: "open", complete: true })).toBe(false);
    expect(isNewsFor(gap, [], true)).toBe(false);
    expect(isNewsFor(gap, [], false, false)).toBe(false);
  });

  it("is a run whose answer is not shown", () => {
    expect(isNewsFor(started("r1"), [question])).toBe(true);
    expect(isNewsFor(started("r1"), [question, answer()])).toBe(false);
    expect(isNewsFor(started("r2"), [question, answer()])).toBe(true);
  });

  it("is an end that is not shown, unless the answer is followed", () => {
    expect(isNewsFor(ended, [question])).toBe(true);
    expect(isNewsFor(ended, [question, answer("running")])).toBe(true);
    expect(isNewsFor(ended, [{ id: "a1", role: "assistant", parts: [] }])).toBe(true);
    expect(isNewsFor(ended, [question, answer("running")], true)).toBe(false);
    for (const status of ["finished", "failed", "stopped"] as const) {
      expect(isNewsFor(ended, [question, answer(status)])).toBe(false);
    }
  });

  it("is a deletion, but not another title", () => {
    expect(isNewsFor({ type: "chat-deleted", id: "c1" })).toBe(true);
    expect(isNewsFor({ type: "chat-renamed", chat })).toBe(false);
  });
});

describe("a snapshot", () => {
  it("has on its branch an answer that it shows or that comes next", () => {
    const versions = [
      { id: "a1", parent: "m1", role: "assistant" as const },
      { id: "a2", parent: "m0", role: "assistant" as const },
    ];
    const snapshot = { ...chat, messages: [question], versions, active_run: null } as Snapshot;
    expect(["a1", "a2", "a3"].map((id) => isOnBranch(snapshot, id))).toEqual([true, false, false]);
    const shown = { ...snapshot, messages: [question, answer()], versions: [] };
    expect(isOnBranch(shown, "a1")).toBe(true);
    const first = { id: "a1", parent: null, role: "assistant" as const };
    expect(isOnBranch({ ...snapshot, messages: [], versions: [first] }, "a1")).toBe(true);
  });

  it("keeps the objects of messages that have not changed", () => {
    const before = [question, answer("running")];
    const after = reuse(before, structuredClone([question, answer("finished")]));
    expect(after[0]).toBe(question);
    expect(after[1]).toEqual(answer("finished"));
  });

  it("counts reasoning and text of an answer only", () => {
    const thought: Message["parts"][number] = { type: "reasoning", text: "Hm. " };
    const step: Message["parts"][number] = { type: "step-start" };
    expect(saidBy({ ...answer(), parts: [step, thought, ...answer().parts] })).toBe("Hm. Hi");
    expect([saidBy(question), saidBy(undefined)]).toEqual(["", ""]);
  });
});
