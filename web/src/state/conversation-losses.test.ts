// @vitest-environment jsdom
/** A chat whose stream is cut, is let go or cannot be followed further; stops that fail. */
import type { UIMessageChunk } from "ai";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ResumableChatTransport } from "@/transport/index";
import { Conversation } from "./conversation";
import { type FeedEvent, type Message, type RunNotice, textOf } from "./model";
import { addToOutbox, outboxOf, removeChatFromOutbox } from "./outbox";
import { problem, Wire } from "./testing/wire";

let wire: Wire;
let conversation: Conversation;
/** Answer a request for a stream, or to stop, in place of the server; once each. */
let onStream: (() => Response)[];
let onStop: (() => Response)[];
let streams: number;
let stops: number;

const fetchOverFaults: typeof fetch = async (input, init) => {
  const isStop = String(input).includes("/stop");
  const isStream = String(input).endsWith("/stream");
  if (isStop) stops++;
  if (isStream) streams++;
  const fault = isStop ? onStop.shift() : isStream ? onStream.shift() : undefined;
  return fault ? fault() : wire.fetch(input, init);
};

beforeEach(() => {
  localStorage.clear();
  removeChatFromOutbox("c1");
  wire = new Wire();
  [onStream, onStop, streams, stops] = [[], [], 0, 0];
  conversation = new Conversation("c1", {
    api: {
      getChat: async () => {
        wire.loads++;
        return wire.snapshot();
      },
    },
    transport: new ResumableChatTransport<Message>({
      api: "http://server/api/chat",
      fetch: fetchOverFaults,
      backoff: { minMs: 1, maxMs: 2 },
      stopMs: 20,
    }),
    schedule: (run) => void queueMicrotask(run),
    pause: () => Promise.resolve(),
    exclusively: (_, work) => work(),
  });
  conversation.enter();
});
afterEach(() => conversation.close());

const view = () => conversation.store.getState();
const said = (): string[] => view().messages.map((message) => textOf(message));
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 4_000, interval: 2 });
const shows = (...texts: string[]): Promise<void> => until(() => expect(said()).toEqual(texts));
const isIdle = (): Promise<void> => until(() => expect(view().status).toBe("ready"));
const refuse = (status: number, name: string) => () => problem(status, name, `It is ${name}.`);
const nothing = () => new Response(null, { status: 204 });

function notice(data: RunNotice): UIMessageChunk {
  return { type: "data-run", data, transient: true };
}

function event(type: "run-started" | "run-ended", run: string, message: string): FeedEvent {
  const what = { chat: wire.snapshot(), run, message };
  return type === "run-started" ? { ...what, type } : { ...what, type, status: "finished" };
}

function send(id: string, text: string): void {
  addToOutbox({ id, chat: "c1", text });
  void conversation.deliver();
}

/** A question, and an answer that has said so much and is followed. */
async function asked(half: string): Promise<void> {
  conversation.begin();
  send("m1", "Hello");
  await until(() => expect(view().status).toBe("streaming"));
  wire.say(half);
  await shows("Hello", half);
}

/** Cuts the stream; resolves when another one was asked for. */
async function cut(): Promise<void> {
  const before = streams;
  dispatchEvent(new Event("offline"));
  await until(() => expect(streams).toBeGreaterThan(before));
}

describe("an answer whose stream is cut", () => {
  it("goes on, and what was written meanwhile is sent once after it", async () => {
    await asked("One ");
    send("m2", "And then?");
    await cut();
    wire.say("two ");
    await shows("Hello", "One two ");
    await cut();
    wire.say("three");
    wire.finish();
    await until(() => expect(said().slice(0, 3)).toEqual(["Hello", "One two three", "And then?"]));
    await cut();
    wire.say("Four");
    wire.finish();
    await shows("Hello", "One two three", "And then?", "Four");
    await isIdle();
    const sent = wire.posted.map(({ key, body }) => [key, (body.message as Message).id]);
    expect(sent).toEqual([
      ["m1", "m1"],
      ["m2", "m2"],
    ]);
    expect(outboxOf("c1")).toEqual([]);
  });

  it("is loaded anew where its log is gone, and followed from there", async () => {
    await asked("One ");
    onStream = [refuse(410, "cursor-expired")];
    await cut();
    await until(() => expect(wire.loads).toBe(1));
    await until(() => expect(streams).toBe(2)); // the one refused, and the one of the snapshot
    wire.say("two");
    await shows("Hello", "One two");
    wire.finish();
    await isIdle();
    expect(view().problem).toBeNull();
    expect([wire.loads, streams]).toEqual([1, 2]);
  });

  it("ends without a problem where nothing of it is missing", async () => {
    await asked("All");
    onStream = [nothing];
    await cut();
    await isIdle();
    expect(said()).toEqual(["Hello", "All"]);
    expect([view().problem, streams]).toEqual([null, 1]);
  });

  it("is loaded again when it ended between the snapshot and the stream", async () => {
    wire.ask("m1", "Hello");
    wire.say("Half");
    onStream = [
      () => {
        wire.say(", and the rest");
        wire.finish();
        return nothing();
      },
    ];
    await conversation.load();
    await shows("Hello", "Half, and the rest");
    expect([wire.loads, view().problem]).toEqual([2, null]);
    await isIdle();
  });
});

describe("a stop", () => {
  it("is sent while the stream of the answer is cut", async () => {
    await asked("Half");
    onStream = Array.from({ length: 2_000 }, () => refuse(503, "store-unavailable"));
    await cut();
    await conversation.stop();
    expect([stops, wire.run?.ended]).toEqual([1, true]);
    onStream = [];
    await isIdle();
    expect(said()).toEqual(["Hello", "Half"]);
    expect(view().stopping).toBe(false);
  });

  it("that failed is shown as a problem, and can be asked for again", async () => {
    await asked("Half");
    onStop = [refuse(403, "forbidden")];
    await conversation.stop();
    expect(view()).toMatchObject({ stopping: false, status: "streaming" });
    expect(view().problem?.message).toBe("It is forbidden.");
    await conversation.stop();
    await isIdle();
    expect([stops, wire.run?.ended]).toEqual([2, true]);
  });

  it("that never reaches the server is shown as a problem", async () => {
    await asked("Half");
    const unreachable = (): Response => {
      throw new TypeError("Failed to fetch");
    };
    onStop = Array.from({ length: 1_000 }, () => unreachable);
    await conversation.stop();
    expect(view()).toMatchObject({ stopping: false, problem: { kind: "network" } });
    expect(stops).toBeGreaterThan(0);
    wire.finish();
    await isIdle();
  });
});

describe("a chat that is not shown", () => {
  it("is not loaded for an event of the feed, but once it is shown again", async () => {
    await conversation.load();
    conversation.leave();
    wire.ask("m1", "Hello");
    wire.say("Hi");
    wire.finish();
    conversation.hear(event("run-ended", "01run1", "a1"));
    expect(wire.loads).toBe(1);
    conversation.enter();
    await shows("Hello", "Hi");
    conversation.leave();
    conversation.enter();
    await isIdle();
    expect(wire.loads).toBe(2);
  });

  it("sends what waits, lets the answer go, and picks it up when it is shown", async () => {
    conversation.begin();
    conversation.leave();
    send("m1", "Hello");
    await until(() => expect(outboxOf("c1")).toEqual([]));
    await isIdle();
    wire.say("Hi");
    expect([streams, wire.loads]).toEqual([0, 0]);
    conversation.enter();
    await shows("Hello", "Hi");
    expect([streams, wire.loads, wire.posted.length]).toEqual([1, 1, 1]);
    wire.finish();
    await isIdle();
  });

});

describe("a run of elsewhere, started while an answer is followed", () => {
  it("is looked for once, not after each later answer", async () => {
    await asked("One");
    conversation.hear(event("run-started", "01other", "a9"));
    wire.finish();
    await until(() => expect(wire.loads).toBe(1));
    await isIdle();
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    wire.say("2");
    wire.finish();
    await until(() => expect(view().versions.has("a2")).toBe(true));
    await isIdle();
    expect(wire.loads).toBe(1);
  });
});

describe("the notice of a run", () => {
  it("that tries again is over at the next words", async () => {
    await asked("One ");
    wire.write(notice({ event: "retry", attempt: 2, attempts: 5, delay: 4 }));
    await until(() => expect(view().notice).toMatchObject({ event: "retry" }));
    expect(view().retryAt).toBeGreaterThan(0);
    wire.say("two");
    await shows("Hello", "One two");
    expect(view().notice).toBeNull();
  });

  it("of a replay shows no time: it does not say when it was", async () => {
    wire.ask("m1", "Hello");
    wire.say("One ");
    wire.write(notice({ event: "retry", attempt: 2, delay: 4 }));
    await conversation.load();
    await until(() => expect(view().notice).toMatchObject({ event: "retry" }));
    expect(view().retryAt).toBeNull();
    wire.finish();
    await isIdle();
  });

  it("that was judged to begin anew says so, whatever was announced", async () => {
    await asked("One ");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "continue" }));
    await until(() => expect(view().notice).toMatchObject({ rung: "continue" }));
    wire.write(notice({ event: "judged", rung: "restart", repeated: 4 }), { type: "reset-step" });
    const anew = { event: "takeover", rung: "restart", repeated: 4 };
    await until(() => expect(view().notice).toMatchObject(anew));
    expect(view().cut && textOf(view().cut!)).toBe("One ");
  });

  it("does not last beyond the answer, nor does the cut attempt", async () => {
    await asked("One two");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "restart", repeated: 7 }));
    wire.write({ type: "reset-step" });
    await until(() => expect(view().cut && textOf(view().cut!)).toBe("One two"));
    wire.write({ type: "error", errorText: "The model failed." });
    await isIdle();
    expect(view().cut).toBeNull();
    send("m2", "Again");
    await until(() => expect(said()).toContain("Again"));
    expect(view()).toMatchObject({ notice: null, cut: null });
  });
});
