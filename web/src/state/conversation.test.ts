// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FeedEvent, textOf } from "./model";
import { addToOutbox, outboxOf } from "./outbox";
import {
  accepted,
  asked,
  conversation,
  event,
  isIdle,
  newTalk,
  notice,
  texts,
  send,
  shows,
  unauthorized,
  view,
  wire,
} from "./testing/talk";
import { until } from "./testing/wait";
import { problem } from "./testing/wire";

beforeEach(newTalk);
afterEach(() => conversation.close());

/** An event of the feed about the server's run. */
const runEvent = (type: "run-started" | "run-ended"): FeedEvent =>
  event(type, wire.run!.id, wire.run!.answer);

it("shows nothing before it is loaded", () => {
  const nothing = { problem: null, notice: null, retryAt: null, cut: null, elsewhere: null };
  const flags = { loading: "loading", status: "ready", stopping: false, found: false };
  expect(view()).toMatchObject({ messages: [], versions: { list: [] }, ...flags, ...nothing });
});

describe("sending", () => {
  it("shows the message at once, and in the outbox until its run is named", async () => {
    conversation.begin();
    let answer: ((response: Response) => void) | undefined;
    wire.refusals.push(() => new Promise((resolve) => (answer = resolve)));
    send("m1", "Hello");
    await shows("Hello");
    await until(() => expect(answer).toBeDefined());
    expect(outboxOf("c1")).toHaveLength(1);
    answer?.(problem(503, "store-unavailable", "Later."));
    await until(() => expect(outboxOf("c1")).toEqual([]));
    expect(accepted.map(({ id }) => id)).toEqual(["m1"]);
    wire.writeText("Hi");
    wire.finish();
    await shows("Hello", "Hi");
    await isIdle();
    expect(new Set(wire.posted.map(({ key }) => key))).toEqual(new Set(["m1"]));
  });

  it("sends a message written during an answer after its end", async () => {
    conversation.begin();
    send("m1", "One");
    await until(() => expect(view().status).toBe("streaming"));
    send("m2", "Two");
    wire.writeText("1");
    await shows("One", "1");
    expect(wire.posted).toHaveLength(1);
    wire.finish();
    await until(() => expect(wire.posted).toHaveLength(2));
    expect(wire.posted[1]?.body).toMatchObject({ message: { id: "m2" }, parentId: "a1" });
    await shows("One", "1", "Two", "");
  });

  it("waits until the chat is loaded, then follows its last message", async () => {
    wire.ask("m1", "One");
    wire.writeText("1");
    wire.finish();
    addToOutbox({ id: "m2", chat: "c1", text: "Two" });
    await conversation.deliver();
    expect(wire.posted).toEqual([]);
    await conversation.load();
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).toMatchObject({ message: { id: "m2" }, parentId: "a1" });
  });

  it("removes an accepted message from the outbox without sending it", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Hi");
    wire.finish();
    addToOutbox({ id: "m1", chat: "c1", text: "Hello" });
    await conversation.load();
    await until(() => expect(outboxOf("c1")).toEqual([]));
    expect(wire.posted).toEqual([]);
  });

  it.each([
    [413, "too-large"],
    [404, "chat-not-found"],
  ])("keeps a refused message (%i) in the outbox with the reason", async (status, name) => {
    wire.ask("m0", "Before");
    wire.finish();
    await conversation.load();
    wire.refusals.push(() => problem(status, name, "It cannot be."));
    send("m1", "Hello");
    await until(() => expect(outboxOf("c1")[0]?.refused).toBe("It cannot be."));
    await shows("Before", "");
    expect(view()).toMatchObject({ problem: null, status: "ready" });
    expect(wire.loads).toBe(1);
  });

  it("follows the answer of another tab that was first, then sends", async () => {
    await conversation.load();
    wire.refusals.push(() => {
      wire.ask("theirs", "Theirs");
      return problem(409, "chat-busy", "Busy.");
    });
    send("m1", "Mine");
    await until(() => expect(texts().slice(0, 1)).toEqual(["Theirs"]));
    wire.writeText("T");
    wire.finish();
    await until(() => expect(texts().slice(0, 3)).toEqual(["Theirs", "T", "Mine"]));
    wire.writeText("M");
    await shows("Theirs", "T", "Mine", "M");
    expect(outboxOf("c1")).toEqual([]);
  });

  it.each([401, 403])("keeps the message when it is refused to this visitor (%i)", async (status) => {
    conversation.begin();
    wire.refusals.push(() => problem(status, "unauthenticated", "Sign in."));
    send("m1", "Hello");
    await until(() => expect(unauthorized).toHaveLength(1));
    expect(outboxOf("c1")).toMatchObject([{ id: "m1" }]);
    expect(view().problem?.message).toBe("Sign in.");
  });

  it("sends an edit as another version of the old message", async () => {
    wire.ask("m1", "One");
    wire.finish();
    await conversation.load();
    send("m1b", "One?", { replaces: "m1" });
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).toMatchObject({ message: { id: "m1b" }, messageId: "m1" });
    wire.finish();
    await isIdle();
    await until(() => expect(view().versions.placeOf("m1b")?.ids).toEqual(["m1", "m1b"]));
  });

  it("sends an edit of a message that is not shown as a message of its own", async () => {
    wire.ask("m0", "Before");
    wire.finish();
    await conversation.load();
    send("m1", "Hello", { replaces: "gone" });
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).not.toHaveProperty("messageId");
  });

  it("is cancelled by a stop before the server has accepted it", async () => {
    expect(await conversation.stop()).toBeNull(); // no run is active
    wire.ask("m0", "Before");
    wire.finish();
    await conversation.load();
    addToOutbox({ id: "m2", chat: "c1", text: "Refused", refused: "No." });
    wire.refusals.push(() => new Promise(() => undefined));
    send("m1", "Hello");
    await shows("Before", "", "Hello");
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(await conversation.stop()).toBe("Hello");
    await shows("Before", "");
    expect(outboxOf("c1").map(({ id }) => id)).toEqual(["m2"]);
    expect(wire.posted.every(({ path }) => !path.endsWith("/stop"))).toBe(true);
  });
});

describe("a chat that is loaded in the middle of an answer", () => {
  it("never shows less than the snapshot, and continues", async () => {
    wire.ask("m1", "Hello");
    for (const word of ["one ", "two ", "three "]) wire.writeText(word);
    const seen: string[] = [];
    conversation.store.subscribe(({ messages }) => {
      const text = messages[1] && textOf(messages[1]);
      if (text !== undefined && text !== seen.at(-1)) seen.push(text);
    });
    await conversation.load();
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("four");
    await shows("Hello", "one two three four");
    expect(seen).toEqual(["one two three ", "one two three four"]);
    expect(view().found).toBe(true);
    wire.finish();
    await isIdle();
  });

  it("reports that there is no such chat", async () => {
    wire.exists = false;
    await conversation.load();
    expect(view().loading).toBe("missing");
  });

  it("creates a missing chat when a message for it waits", async () => {
    wire.exists = false;
    addToOutbox({ id: "m1", chat: "c1", text: "From a train" });
    await conversation.load();
    await until(() => expect(wire.posted).toHaveLength(1));
    await shows("From a train", "");
  });

  it("reports an answer on a hidden branch without showing its text", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Other branch");
    const branch = wire.snapshot();
    wire.snapshot = () => ({
      ...branch,
      messages: [{ id: "m0", role: "user", parts: [{ type: "text", text: "Shown" }] }],
    });
    await conversation.load();
    await shows("Shown");
    expect(view().elsewhere).toBe("a1");
    expect(view().status).toBe("ready");
  });
});

describe("a change by another client", () => {
  beforeEach(async () => {
    wire.ask("m1", "One");
    wire.writeText("1");
    wire.finish();
    await conversation.load();
  });

  it("is shown: the question, and its answer live", async () => {
    wire.ask("m2", "Two");
    conversation.onFeedEvent(runEvent("run-started"));
    await until(() => expect(texts()).toContain("Two"));
    wire.writeText("2");
    await shows("One", "1", "Two", "2");
    wire.finish();
    await isIdle();
  });

  it("is loaded when an answer ended that was not followed here", async () => {
    wire.ask("m2", "Two");
    wire.writeText("2");
    wire.finish();
    conversation.onFeedEvent(runEvent("run-ended"));
    await shows("One", "1", "Two", "2");
  });

  it("is loaded after this page's own answer, if it came near its end", async () => {
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    const own = wire.run!;
    const started = runEvent("run-started");
    conversation.onFeedEvent({ ...started, run: "01other" } as FeedEvent);
    const loads = wire.loads;
    wire.finish();
    await until(() => expect(wire.loads).toBe(loads + 1));
    expect(own.ended).toBe(true);
  });

  it("is ignored when it is the followed run", async () => {
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    conversation.onFeedEvent(runEvent("run-started"));
    const loads = wire.loads;
    wire.finish();
    await isIdle();
    conversation.onFeedEvent(runEvent("run-ended"));
    await isIdle();
    expect(wire.loads).toBe(loads + 1); // this server's metadata did not report its end
  });
});

describe("an answer", () => {
  it("that is stopped ends with the server's chunk", async () => {
    await asked("Half");
    await conversation.stop();
    await isIdle();
    expect(wire.posted.at(-1)?.path).toBe("/api/chat/c1/stop");
    await until(() => expect(view().stopping).toBe(false));
    await shows("Hello", "Half");
  });

  it("that failed keeps its text, and the chat continues", async () => {
    conversation.begin();
    send("m1", "Hello");
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("Half");
    wire.write({ type: "error", errorText: "The model failed." });
    await isIdle();
    await shows("Hello", "Half");
    expect(view().problem).toBeNull();
    send("m2", "Again");
    await until(() => expect(texts()).toContain("Again"));
  });

  it("that restarts keeps the text of the cut attempt for a while", async () => {
    await asked("One two three");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "restart", repeated: 13 }));
    wire.write({ type: "reset-step" });
    await shows("Hello", "");
    expect(textOf(view().cut!)).toBe("One two three");
    expect(view().notice).toMatchObject({ rung: "restart", repeated: 13 });
    wire.write({ type: "text-start", id: "p2" }, { type: "text-delta", id: "p2", delta: "Uno" });
    await shows("Hello", "Uno");
    expect(textOf(view().cut!)).toBe("One two three");
    conversation.dropCut();
    wire.write({ type: "text-delta", id: "p2", delta: " due" });
    await shows("Hello", "Uno due");
    expect(view().cut).toBeNull();
    wire.write({ type: "reset-step" });
    await until(() => expect(textOf(view().cut!)).toBe("Uno due"));
    wire.write({ type: "error", errorText: "The model failed." });
    await isIdle();
    expect(view().cut).toBeNull();
    await shows("Hello", "");
  });

  it("that continues after a cut shows no void text, whatever the rung", async () => {
    await asked("One ");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "prefill" }));
    wire.write(notice({ event: "rung", rung: "continue" }));
    await until(() => expect(view().notice).toMatchObject({ event: "takeover", rung: "continue" }));
    wire.writeText("two");
    await shows("Hello", "One two");
    expect(view()).toMatchObject({ cut: null, notice: { rung: "continue" } });
    wire.write(notice({ event: "rung", rung: "restart", repeated: 7 }), { type: "reset-step" });
    await until(() => expect(view().cut && textOf(view().cut!)).toBe("One two"));
    expect(view().notice).toMatchObject({ event: "takeover", rung: "restart", repeated: 7 });
  });

  it("that restarts while it is loaded again shows one text", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("One two three");
    wire.write({ type: "reset-step" }, { type: "text-start", id: "p2" });
    wire.messages[1]!.parts = [{ type: "text", text: "", state: "streaming" }];
    wire.writeText("Uno", "p2");
    await conversation.load();
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText(" due", "p2");
    await shows("Hello", "Uno due");
    expect(view().cut).toBeNull();
  });

  it("that is regenerated becomes a version", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("First");
    wire.finish();
    await conversation.load();
    const again = conversation.regenerate("a1", "other");
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).toMatchObject({
      trigger: "regenerate-message",
      messageId: "a1",
      model: "other",
    });
    wire.writeText("Second");
    wire.finish();
    await again;
    await shows("Hello", "Second");
    expect(view().versions.placeOf("a2")?.ids).toEqual(["a1", "a2"]);
  });
});
