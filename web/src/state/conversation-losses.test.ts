// @vitest-environment jsdom
/** A chat whose stream is cut or cannot be resumed; failed stops; notices. */
import type { UIMessageChunk } from "ai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Message, textOf } from "./model";
import { outboxOf } from "./outbox";
import {
  asked,
  conversation,
  counts,
  cut,
  faults,
  isIdle,
  newTalk,
  nothing,
  notice,
  refuse,
  texts,
  send,
  shows,
  view,
  wire,
} from "./testing/talk";
import { until } from "./testing/wait";

beforeEach(newTalk);
afterEach(() => conversation.close());

describe("an answer whose stream is cut", () => {
  it("is resumed; messages written meanwhile are sent once, after it", async () => {
    await asked("One ");
    send("m2", "And then?");
    await cut();
    wire.writeText("two ");
    await shows("Hello", "One two ");
    await cut();
    wire.writeText("three");
    wire.finish();
    await until(() => expect(texts().slice(0, 3)).toEqual(["Hello", "One two three", "And then?"]));
    await cut();
    wire.writeText("Four");
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

  it("is loaded again where its log is gone, and followed from there", async () => {
    await asked("One ");
    faults.stream = [refuse(410, "cursor-expired")];
    await cut();
    await until(() => expect(wire.loads).toBe(1));
    await until(() => expect(counts.streams).toBe(2)); // the refused one, and that of the snapshot
    wire.writeText("two");
    await shows("Hello", "One two");
    wire.finish();
    await isIdle();
    expect(view().problem).toBeNull();
    expect([wire.loads, counts.streams]).toEqual([1, 2]);
  });

  it("ends without a problem where nothing is missing", async () => {
    await asked("All");
    faults.stream = [nothing];
    await cut();
    await isIdle();
    expect(texts()).toEqual(["Hello", "All"]);
    expect([view().problem, counts.streams]).toEqual([null, 1]);
  });

  it("is loaded again when it ended between the snapshot and the stream", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Half");
    faults.stream = [
      () => {
        wire.writeText(", and the rest");
        wire.finish();
        return nothing();
      },
    ];
    await conversation.load();
    await shows("Hello", "Half, and the rest");
    expect([wire.loads, view().problem]).toEqual([2, null]);
    await isIdle();
  });

  it("that fails permanently is a problem, until it is dismissed", async () => {
    await asked("Half");
    faults.stream = Array.from({ length: 5 }, () => refuse(500, "broken"));
    await cut();
    await until(() => expect(view().problem).toMatchObject({ kind: "server" }));
    expect([view().status, texts()]).toEqual(["ready", ["Hello", "Half"]]);
    conversation.dismissProblem();
    expect(view()).toMatchObject({ problem: null, status: "ready" });
  });
});

describe("an answer that is found", () => {
  it("and cannot be followed is a problem, shown beside its text", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("Half");
    faults.stream = Array.from({ length: 5 }, () => refuse(500, "broken"));
    await conversation.load();
    await until(() => expect(view().problem).toMatchObject({ kind: "server" }));
    expect([view().status, texts()]).toEqual(["ready", ["Hello", "Half"]]);
    expect([view().found, view().stopping]).toEqual([true, false]);
    send("m2", "And?");
    await until(() => expect(view().status).toBe("streaming"));
    expect([view().found, view().stopping, view().problem]).toEqual([false, false, null]);
  });
});

describe("a stop", () => {
  it("is sent while the stream of the answer is cut", async () => {
    await asked("Half");
    faults.stream = Array.from({ length: 2_000 }, () => refuse(503, "store-unavailable"));
    await cut();
    await conversation.stop();
    expect([counts.stops, wire.run?.ended]).toEqual([1, true]);
    faults.stream = [];
    await isIdle();
    expect(texts()).toEqual(["Hello", "Half"]);
    expect(view().stopping).toBe(false);
  });

  it("that failed is shown as a problem, and can be repeated", async () => {
    await asked("Half");
    faults.stop = [refuse(403, "forbidden")];
    await conversation.stop();
    expect(view()).toMatchObject({ stopping: false, status: "streaming" });
    expect(view().problem?.message).toBe("It is forbidden.");
    await conversation.stop();
    await isIdle();
    expect([counts.stops, wire.run?.ended]).toEqual([2, true]);
  });

  it("is requested once while the request is in progress", async () => {
    await asked("Half");
    const first = conversation.stop();
    expect(await conversation.stop()).toBeNull();
    await first;
    await isIdle();
    expect(counts.stops).toBe(1);
  });

  it("that never reaches the server is shown as a problem", async () => {
    await asked("Half");
    const unreachable = (): Response => {
      throw new TypeError("Failed to fetch");
    };
    faults.stop = Array.from({ length: 1_000 }, () => unreachable);
    await conversation.stop();
    expect(view()).toMatchObject({ stopping: false, problem: { kind: "network" } });
    expect(counts.stops).toBeGreaterThan(0);
    wire.finish();
    await isIdle();
  });
});

describe("the notice of a run", () => {
  it("about a retry ends with the next text, also of a later answer", async () => {
    await asked("Before");
    wire.finish();
    await isIdle();
    send("m2", "Again");
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("One ");
    await shows("Hello", "Before", "Again", "One ");
    const other = { event: "retry", attempt: 3 };
    wire.write(notice({ event: "retry", attempt: 2, attempts: 5, delay: 4 }));
    wire.write({ type: "data-other", data: other, transient: true } as unknown as UIMessageChunk);
    await until(() => expect(view().notice).toMatchObject({ event: "retry", attempt: 2 }));
    expect(view().retryAt).toBeGreaterThan(0);
    wire.writeText("two");
    await shows("Hello", "Before", "Again", "One two");
    expect(view().notice).toBeNull();
  });

  it("of a replay shows no time: a replay has no timestamps", async () => {
    wire.ask("m1", "Hello");
    wire.writeText("One ");
    wire.write(notice({ event: "retry", attempt: 2, delay: 4 }));
    await conversation.load();
    await until(() => expect(view().notice).toMatchObject({ event: "retry" }));
    expect(view().retryAt).toBeNull();
    wire.finish();
    await isIdle();
  });

  it("about a restart replaces the announced rung", async () => {
    await asked("One ");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "continue" }));
    await until(() => expect(view().notice).toMatchObject({ rung: "continue" }));
    wire.write(notice({ event: "judged", rung: "restart", repeated: 4 }), { type: "reset-step" });
    const anew = { event: "takeover", rung: "restart", repeated: 4 };
    await until(() => expect(view().notice).toMatchObject(anew));
    expect(view().cut && textOf(view().cut!)).toBe("One ");
  });

  it("ends with the answer, as does the cut attempt", async () => {
    await asked("One two");
    wire.write(notice({ event: "takeover", attempt: 2, rung: "restart", repeated: 7 }));
    wire.write({ type: "reset-step" });
    await until(() => expect(view().cut && textOf(view().cut!)).toBe("One two"));
    wire.write({ type: "error", errorText: "The model failed." });
    await isIdle();
    expect(view().cut).toBeNull();
    send("m2", "Again");
    await until(() => expect(texts()).toContain("Again"));
    expect(view()).toMatchObject({ notice: null, cut: null });
    await until(() => expect(view().status).toBe("streaming"));
    wire.writeText("Uno");
    await until(() => expect(texts().at(-1)).toBe("Uno"));
    wire.write({ type: "reset-step" });
    await until(() => expect(view().cut && textOf(view().cut!)).toBe("Uno"));
  });
});
