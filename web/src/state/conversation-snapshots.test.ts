// @vitest-environment jsdom
/** A chat that is loaded again: after a feed event, after a refusal, when it is shown. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ErrorKind, TransportError } from "@/transport/index";
import type { FeedEvent, Snapshot } from "./model";
import { addToOutbox, outboxOf } from "./outbox";
import {
  asked,
  conversation,
  counts,
  cut,
  event,
  faults,
  isIdle,
  newTalk,
  refuse,
  texts,
  send,
  shows,
  transport,
  unauthorized,
  view,
  wire,
} from "./testing/talk";
import { until } from "./testing/wait";
import { problem } from "./testing/wire";

beforeEach(newTalk);
afterEach(() => conversation.close());

const fails = (kind: ErrorKind) => () => Promise.reject(new TransportError(kind));

describe("a snapshot", () => {
  it("that arrives after a message was sent does not remove it", async () => {
    await conversation.load();
    const old = wire.snapshot();
    let answer = (): void => undefined;
    faults.load = [() => new Promise((resolve) => (answer = () => resolve(old)))];
    const loading = conversation.load();
    await until(() => expect(faults.load).toEqual([]));
    send("m1", "Hello");
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("Hi");
    await shows("Hello", "Hi");
    answer();
    await loading;
    wire.writeText(" there");
    await shows("Hello", "Hi there");
    expect([view().status, counts.streams]).toEqual(["streaming", 0]);
    wire.finish();
    await isIdle();
    expect(texts()).toEqual(["Hello", "Hi there"]);
  });

  it("is that of the chat's head where the named version is missing", async () => {
    const leaves: (string | null)[] = [];
    const note = (leaf: string | null) => leaves.push(leaf);
    faults.load = [(leaf) => (note(leaf), fails("not-found")()), (leaf) => (note(leaf), wire.snapshot())];
    await conversation.load("m9");
    await until(() => expect(view().loading).toBe("ready"));
    expect(leaves).toEqual(["m9", null]);
  });

  it("that fails temporarily hides nothing and is no problem", async () => {
    wire.ask("m1", "Hello");
    wire.finish();
    await conversation.load();
    const problems: unknown[] = [];
    conversation.store.subscribe((now) => now.problem && problems.push(now.problem));
    faults.load = [fails("network"), fails("unavailable")];
    await conversation.load();
    expect([problems, faults.load, texts()[0]]).toEqual([[], [], "Hello"]);
    faults.load = [fails("forbidden")];
    await conversation.load();
    expect([view().problem?.kind, texts()[0], unauthorized]).toEqual(["forbidden", "Hello", []]);
  });

  it("of a chat without content is a problem as long as it fails", async () => {
    const problems: unknown[] = [];
    conversation.store.subscribe(({ problem: now }) => problems.push(now?.kind));
    faults.load = [fails("network")];
    await conversation.load();
    expect([problems[0], view().problem, view().loading]).toEqual(["network", null, "ready"]);
  });

  it("of the run that is followed leaves its stream alone", async () => {
    await asked("One ");
    await conversation.load();
    wire.writeText("two");
    await shows("Hello", "One two");
    expect([view().status, counts.streams, wire.loads]).toEqual(["streaming", 0, 1]);
    wire.finish();
    await isIdle();
  });

  it("with a run that is not open yet blocks other messages", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Hi");
    let open: ((response: Response) => void) | undefined;
    faults.stream = [() => new Promise((resolve) => (open = resolve))];
    await conversation.load();
    await until(() => expect(open).toBeDefined());
    send("m2", "Two");
    await conversation.regenerate("a1");
    expect([wire.posted, view().status]).toEqual([[], "submitted"]);
    open?.(problem(503, "store-unavailable", "Later."));
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText(" there");
    await shows("Hello", "Hi there");
    expect(wire.posted).toEqual([]);
    wire.finish();
    await until(() => expect(wire.posted.map(({ key }) => key)).toEqual(["m2"]));
  });

  it("is that of the chat's head once a message was sent", async () => {
    const leaves: (string | null)[] = [];
    const note = (leaf: string | null): Snapshot => (leaves.push(leaf), wire.snapshot());
    faults.load = [note, note];
    await conversation.load("m1");
    await asked("Hi");
    wire.finish();
    await isIdle();
    await conversation.load();
    expect(leaves).toEqual(["m1", null]);
  });

  it("with another run than the followed one switches to it", async () => {
    await asked("One ");
    const snapshot = wire.snapshot();
    faults.load = [() => ({ ...snapshot, active_run: { ...snapshot.active_run!, id: "01other" } })];
    await conversation.load();
    await until(() => expect(counts.streams).toBe(1));
    wire.finish();
    await isIdle();
  });

  it("is shown until the replay of its run has caught up", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Half");
    const snapshot = wire.snapshot();
    const cursor = "01run1.00000009.t";
    faults.load = [() => ({ ...snapshot, active_run: { ...snapshot.active_run!, cursor } })];
    await conversation.load();
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText(" an answer");
    await until(() => expect(transport.getState("c1").cursor).toBe("01run1.00000004.t"));
    expect(texts()).toEqual(["Hello", "Half"]);
    wire.finish();
    await shows("Hello", "Half an answer");
  });

  it("that arrives after the chat was closed changes nothing", async () => {
    let answer = (): void => undefined;
    faults.load = [() => new Promise((resolve) => (answer = () => resolve(wire.snapshot())))];
    const loading = conversation.load();
    conversation.close();
    answer();
    await loading;
    expect([view().loading, transport.getState("c1").phase]).toEqual(["loading", "idle"]);
  });

  it("restores the message that a refused edit would have replaced", async () => {
    wire.ask("m1", "One");
    wire.writeText("1");
    wire.finish();
    await conversation.load();
    wire.refusals.push(refuse(413, "too-large"));
    send("m1b", "One?", { replaces: "m1" });
    await until(() => expect(outboxOf("c1")[0]?.refused).toBe("It is too-large."));
    await shows("One", "1");
  });

  it("is loaded when the stream is gone: the chat was deleted", async () => {
    await asked("One ");
    faults.stream = [refuse(404, "chat-not-found")];
    faults.load = [fails("not-found")];
    await cut();
    await until(() => expect(view().loading).toBe("missing"));
    expect(view().problem).toBeNull();
  });

  it("that is refused to a signed-out visitor reports it", async () => {
    faults.load = [fails("unauthorized")];
    await conversation.load();
    expect(unauthorized).toHaveLength(1);
    expect(view().problem?.kind).toBe("unauthorized");
  });
});

describe("an event of the feed", () => {
  const gap: FeedEvent = { type: "open", complete: false };

  it("is ignored where it is old, or the chat is not on the server", async () => {
    conversation.onFeedEvent({ type: "chat-renamed", chat: wire.snapshot() });
    conversation.begin();
    conversation.onFeedEvent(gap);
    expect(wire.loads).toBe(0);
  });

  it("with a gap reloads a chat that is on the server", async () => {
    await asked("Hi");
    wire.finish();
    await isIdle();
    conversation.onFeedEvent(gap);
    expect(wire.loads).toBe(1);
  });

  it("about a deletion is handled while an answer is followed, too", async () => {
    await asked("Half");
    faults.load = [fails("not-found")];
    conversation.onFeedEvent({ type: "chat-deleted", id: "c1" });
    await until(() => expect(view().loading).toBe("missing"));
  });

  it("loads a hidden chat where a message waits for it", async () => {
    await conversation.load();
    conversation.leave();
    addToOutbox({ id: "m1", chat: "c1", text: "Hello", refused: "No." });
    conversation.onFeedEvent(gap);
    expect(wire.loads).toBe(2);
  });
});

describe("a chat that is not shown", () => {
  it("ignores a snapshot that was requested before it was left", async () => {
    await asked("Half");
    let answer = (): void => undefined;
    faults.load = [() => new Promise((resolve) => (answer = () => resolve(wire.snapshot())))];
    const loading = conversation.load();
    conversation.leave();
    answer();
    await loading;
    await isIdle();
    expect([counts.streams, transport.getState("c1").phase]).toEqual([0, "idle"]);
  });

  it("is not loaded on a feed event, but when it is shown again", async () => {
    await conversation.load();
    conversation.leave();
    wire.ask("m1", "Hello");
    wire.writeText("Hi");
    wire.finish();
    conversation.onFeedEvent(event("run-ended", "01run1", "a1"));
    expect(wire.loads).toBe(1);
    conversation.enter();
    await shows("Hello", "Hi");
    conversation.leave();
    conversation.enter();
    await isIdle();
    expect(wire.loads).toBe(2);
  });

  it("sends nothing more once it is closed, and leaves no state behind", async () => {
    await asked("Half");
    conversation.close();
    await isIdle();
    addToOutbox({ id: "m2", chat: "c1", text: "And?" });
    await conversation.deliver();
    expect(wire.posted.map(({ key }) => key)).toEqual(["m1"]);
    expect(outboxOf("c1")).toHaveLength(1);
    expect(transport.getState("c1")).not.toHaveProperty("runId");
  });

  it("still sends a message that is in progress", async () => {
    conversation.begin();
    let answer: ((response: Response) => void) | undefined;
    wire.refusals.push(() => new Promise((resolve) => (answer = resolve)));
    send("m1", "Hello");
    await until(() => expect(answer).toBeDefined());
    conversation.leave();
    answer?.(problem(503, "store-unavailable", "Later."));
    await until(() => expect(outboxOf("c1")).toEqual([]));
    expect(wire.posted.map(({ key }) => key)).toEqual(["m1", "m1"]);
    expect(wire.messages[0]?.id).toBe("m1");
  });

  it("sends waiting messages, disconnects, and resumes when it is shown", async () => {
    conversation.begin();
    conversation.leave();
    send("m1", "Hello");
    await until(() => expect(outboxOf("c1")).toEqual([]));
    await isIdle();
    wire.writeText("Hi");
    expect([counts.streams, wire.loads]).toEqual([0, 0]);
    conversation.enter();
    await shows("Hello", "Hi");
    expect([counts.streams, wire.loads, wire.posted.length]).toEqual([1, 1, 1]);
    wire.finish();
    await isIdle();
  });

});

describe("a run of another client, started while an answer is followed", () => {
  it("is loaded once, not after each later answer", async () => {
    await asked("One");
    conversation.onFeedEvent(event("run-started", "01other", "a9"));
    wire.finish();
    await until(() => expect(wire.loads).toBe(1));
    await isIdle();
    send("m2", "Two");
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("2");
    wire.finish();
    await until(() => expect(view().versions.has("a2")).toBe(true));
    await isIdle();
    expect(wire.loads).toBe(1);
  });
});
