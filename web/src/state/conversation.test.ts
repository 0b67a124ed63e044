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
  said,
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

/** What the feed tells of the server's run. */
const runEvent = (type: "run-started" | "run-ended"): FeedEvent =>
  event(type, wire.run!.id, wire.run!.answer);

it("shows nothing before anything is known", () => {
  const nothing = { problem: null, notice: null, retryAt: null, cut: null, elsewhere: null };
  const flags = { loading: "loading", status: "ready", stopping: false, found: false };
  expect(view()).toMatchObject({ messages: [], versions: { list: [] }, ...flags, ...nothing });
});

describe("sending", () => {
  it("shows the message at once and lets it leave the outbox when the server has named its run", async () => {
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
    wire.say("Hi");
    wire.finish();
    await shows("Hello", "Hi");
    await isIdle();
    expect(new Set(wire.posted.map(({ key }) => key))).toEqual(new Set(["m1"]));
  });

  it("sends what is written during an answer when that has ended, behind it", async () => {
    conversation.begin();
    send("m1", "One");
    await until(() => expect(view().status).toBe("streaming"));
    send("m2", "Two");
    wire.say("1");
    await shows("One", "1");
    expect(wire.posted).toHaveLength(1);
    wire.finish();
    await until(() => expect(wire.posted).toHaveLength(2));
    expect(wire.posted[1]?.body).toMatchObject({ message: { id: "m2" }, parentId: "a1" });
    await shows("One", "1", "Two", "");
  });

  it("waits until the chat is loaded, then goes behind what that holds", async () => {
    wire.ask("m1", "One");
    wire.say("1");
    wire.finish();
    addToOutbox({ id: "m2", chat: "c1", text: "Two" });
    await conversation.deliver();
    expect(wire.posted).toEqual([]);
    await conversation.load();
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).toMatchObject({ message: { id: "m2" }, parentId: "a1" });
  });

  it("takes a message that the server had already accepted out of the outbox, and sends nothing", async () => {
    wire.ask("m1", "Hello");
    wire.say("Hi");
    wire.finish();
    addToOutbox({ id: "m1", chat: "c1", text: "Hello" });
    await conversation.load();
    await until(() => expect(outboxOf("c1")).toEqual([]));
    expect(wire.posted).toEqual([]);
  });

  it.each([
    [413, "too-large"],
    [404, "chat-not-found"],
  ])("keeps a message that was refused (%i), with the reason, out of the conversation", async (status, name) => {
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

  it("follows the other tab's answer when that was quicker, then sends", async () => {
    await conversation.load();
    wire.refusals.push(() => {
      wire.ask("theirs", "Theirs");
      return problem(409, "chat-busy", "Busy.");
    });
    send("m1", "Mine");
    await until(() => expect(said().slice(0, 1)).toEqual(["Theirs"]));
    wire.say("T");
    wire.finish();
    await until(() => expect(said().slice(0, 3)).toEqual(["Theirs", "T", "Mine"]));
    wire.say("M");
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

  it("is taken back by a stop while the server has not accepted it", async () => {
    expect(await conversation.stop()).toBeNull(); // nothing is being written
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
  it("never shows less than the snapshot, and goes on", async () => {
    wire.ask("m1", "Hello");
    for (const word of ["one ", "two ", "three "]) wire.say(word);
    const seen: string[] = [];
    conversation.store.subscribe(({ messages }) => {
      const text = messages[1] && textOf(messages[1]);
      if (text !== undefined && text !== seen.at(-1)) seen.push(text);
    });
    await conversation.load();
    await until(() => expect(view().status).toBe("streaming"));
    wire.say("four");
    await shows("Hello", "one two three four");
    expect(seen).toEqual(["one two three ", "one two three four"]);
    expect(view().found).toBe(true);
    wire.finish();
    await isIdle();
  });

  it("says when there is no such chat", async () => {
    wire.exists = false;
    await conversation.load();
    expect(view().loading).toBe("missing");
  });

  it("begins a chat that does not exist when a message for it waits", async () => {
    wire.exists = false;
    addToOutbox({ id: "m1", chat: "c1", text: "From a train" });
    await conversation.load();
    await until(() => expect(wire.posted).toHaveLength(1));
    await shows("From a train", "");
  });

  it("tells of an answer on a branch that is not shown, and does not mix it in", async () => {
    wire.ask("m1", "Hello");
    wire.say("Other branch");
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

describe("what happens elsewhere", () => {
  beforeEach(async () => {
    wire.ask("m1", "One");
    wire.say("1");
    wire.finish();
    await conversation.load();
  });

  it("is shown: the question of another tab, and its answer live", async () => {
    wire.ask("m2", "Two");
    conversation.hear(runEvent("run-started"));
    await until(() => expect(said()).toContain("Two"));
    wire.say("2");
    await shows("One", "1", "Two", "2");
    wire.finish();
    await isIdle();
  });

  it("is loaded when an answer ended that was not followed here", async () => {
    wire.ask("m2", "Two");
    wire.say("2");
    wire.finish();
    conversation.hear(runEvent("run-ended"));
    await shows("One", "1", "Two", "2");
  });

  it("is looked at after this page's own answer, when it came in its last moment", async () => {
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    const own = wire.run!;
    const started = runEvent("run-started");
    conversation.hear({ ...started, run: "01other" } as FeedEvent);
    const loads = wire.loads;
    wire.finish();
    await until(() => expect(wire.loads).toBe(loads + 1));
    expect(own.ended).toBe(true);
  });

  it("is nothing new when it is the run that is being followed", async () => {
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    conversation.hear(runEvent("run-started"));
    const loads = wire.loads;
    wire.finish();
    await isIdle();
    conversation.hear(runEvent("run-ended"));
    await isIdle();
    expect(wire.loads).toBe(loads + 1); // its end was not told by the metadata of this wire
  });
});

describe("an answer", () => {
  it("that is stopped ends by the server's own word", async () => {
    await asked("Half");
    await conversation.stop();
    await isIdle();
    expect(wire.posted.at(-1)?.path).toBe("/api/chat/c1/stop");
    await until(() => expect(view().stopping).toBe(false));
    await shows("Hello", "Half");
  });

  it("that failed keeps what it said, and the chat goes on", async () => {
    conversation.begin();
    send("m1", "Hello");
    await until(() => expect(view().status).toBe("streaming"));
    wire.say("Half");
    wire.write({ type: "error", errorText: "The model failed." });
    await isIdle();
    await shows("Hello", "Half");
    expect(view().problem).toBeNull();
    send("m2", "Again");
    await until(() => expect(said()).toContain("Again"));
  });

  it("that begins anew keeps the text of the cut attempt until it is dropped, or the run ends", async () => {
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

  it("that goes on where it was cut off shows nothing void, whatever way was tried", async () => {
    await asked("One ");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "prefill" }));
    wire.write(notice({ event: "rung", rung: "continue" }));
    await until(() => expect(view().notice).toMatchObject({ event: "takeover", rung: "continue" }));
    wire.say("two");
    await shows("Hello", "One two");
    expect(view()).toMatchObject({ cut: null, notice: { rung: "continue" } });
    wire.write(notice({ event: "rung", rung: "restart", repeated: 7 }), { type: "reset-step" });
    await until(() => expect(view().cut && textOf(view().cut!)).toBe("One two"));
    expect(view().notice).toMatchObject({ event: "takeover", rung: "restart", repeated: 7 });
  });

  it("that begins anew while it is loaded again shows one text", async () => {
    wire.ask("m1", "Hello");
    wire.say("One two three");
    wire.write({ type: "reset-step" }, { type: "text-start", id: "p2" });
    wire.messages[1]!.parts = [{ type: "text", text: "", state: "streaming" }];
    wire.say("Uno", "p2");
    await conversation.load();
    await until(() => expect(view().status).toBe("streaming"));
    wire.say(" due", "p2");
    await shows("Hello", "Uno due");
    expect(view().cut).toBeNull();
  });

  it("that is asked for again becomes a version", async () => {
    wire.ask("m1", "Hello");
    wire.say("First");
    wire.finish();
    await conversation.load();
    const again = conversation.regenerate("a1", "other");
    await until(() => expect(wire.posted).toHaveLength(1));
    expect(wire.posted[0]?.body).toMatchObject({
      trigger: "regenerate-message",
      messageId: "a1",
      model: "other",
    });
    wire.say("Second");
    wire.finish();
    await again;
    await shows("Hello", "Second");
    expect(view().versions.placeOf("a2")?.ids).toEqual(["a1", "a2"]);
  });
});
