import { describe, expect, it } from "vitest";
import type { Fault } from "./testing/server.js";
import {
  body,
  cursorOf,
  encode,
  frame,
  portal,
  records,
  refuse,
  unreachable,
} from "./testing/server.js";
import { folded, read, Stage } from "./testing/stage.js";
import { drive } from "./testing/world.js";

function times<T>(count: number, one: T): T[] {
  return Array.from({ length: count }, () => one);
}

describe("a final refusal", () => {
  it.each([400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 451])(
    "with %i ends the stream at once",
    async (status) => {
      const stage = new Stage();
      stage.server.faults = [refuse(status, { detail: "It cannot be." })];
      const error: unknown = await stage.sendAndRead().catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: "TransportError", status, message: "It cannot be." });
      expect(stage.server.received).toHaveLength(1);
      expect(stage.state).toMatchObject({ phase: "ended", error });
      expect(stage.left).toEqual({ timers: 0, listeners: 0 });
    },
  );

  it("in mid-stream comes after the delivered chunks", async () => {
    const stage = new Stage();
    stage.server.faults = [records(4, "error"), refuse(410, { detail: "Its log is gone." })];
    const reader = (await stage.send()).getReader();
    await stage.clock.advance(0);
    await stage.environment.goOffline(); // before anything is read
    await stage.clock.advance(1000);
    expect(stage.state).toMatchObject({ phase: "ended", cursor: cursorOf(4) });
    for (const chunk of folded(stage.server.log.slice(0, 4))) {
      expect(await reader.read()).toEqual({ done: false, value: chunk });
    }
    await expect(reader.read()).rejects.toMatchObject({ kind: "cursor-lost" });
  });

  it.each([
    ["in pieces", "end", "Zu groß 👋"],
    ["and is cut", "error", "You may not use this chat."],
  ] as const)("is understood when it comes %s", async (_, ending, message) => {
    const stage = new Stage();
    const headers = { "content-type": "application/problem+json" };
    stage.server.faults = [
      ({ signal }) => {
        const bytes = encode('{"detail":"Zu groß 👋"}');
        const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte));
        return new Response(body({ headers, signal }, pieces, ending).body, { status: 403, headers });
      },
    ];
    await expect(stage.sendAndRead()).rejects.toMatchObject({ kind: "forbidden", message });
  });

  it("is not read to its end when it is long", async () => {
    const stage = new Stage();
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(encode("x".repeat(1024))),
      cancel: () => void (cancelled = true),
    });
    stage.server.faults = [() => new Response(endless, { status: 403 })];
    await expect(stage.sendAndRead()).rejects.toMatchObject({ kind: "forbidden" });
    expect(cancelled).toBe(true);
  });

  it("rejects reconnectToStream", async () => {
    const stage = new Stage();
    stage.server.faults = [refuse(401, {})];
    const pending = stage.transport.reconnectToStream({ chatId: "c1" });
    await expect(pending).rejects.toMatchObject({ kind: "unauthorized" });
    expect(stage.state).toMatchObject({ phase: "ended", error: { kind: "unauthorized" } });
  });

  it("is an error of a function of the application", async () => {
    const fault = new Error("no random numbers");
    const random = () => {
      throw fault;
    };
    const stage = new Stage({ random });
    stage.server.faults = [unreachable];
    await expect(stage.sendAndRead()).rejects.toBe(fault);
  });

  it("is an invalid address", async () => {
    const stage = new Stage({ fetch: globalThis.fetch, api: "http://[" });
    await expect(stage.sendAndRead()).rejects.toMatchObject({ kind: "network", retryable: false });
  });
});

describe("a temporary failure", () => {
  it.each([408, 425, 429, 502, 503, 504])("with status %i is retried without limit", async (status) => {
    const stage = new Stage();
    stage.server.faults = [records(4, "error"), ...times(40, refuse(status))];
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
  });

  it("of the network is retried without limit", async () => {
    const stage = new Stage();
    stage.server.faults = times(60, unreachable);
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
  });

  it.each([
    ["500", refuse(500, {}), "server"],
    ["501", refuse(501, {}), "server"],
    ["a page of HTML", portal, "not-a-stream"],
    ["an empty answer to a message", () => new Response(null, { status: 204 }), "not-a-stream"],
  ] as const)("as %s is given up after five in a row", async (_, fault, kind) => {
    const four = new Stage();
    four.server.faults = times(4, fault);
    expect(folded(await four.sendAndRead())).toEqual(folded(four.server.log));
    const five = new Stage();
    five.server.faults = times(5, fault);
    await expect(five.sendAndRead()).rejects.toMatchObject({ kind });
    expect(five.server.received).toHaveLength(5);
    expect(five.state).toMatchObject({ phase: "ended", error: { kind } });
  });

  it("is counted from zero after a connection", async () => {
    const stage = new Stage();
    const failing = refuse(500);
    stage.server.faults = [...times(4, failing), records(2, "end"), ...times(4, failing)];
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
  });

  it.each([
    ["a lost network", unreachable],
    ["503", refuse(503)],
  ] as const)("is counted anew after %s", async (_, between) => {
    const stage = new Stage();
    const failing = refuse(500);
    stage.server.faults = [...times(4, failing), between, ...times(4, failing)];
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
  });

  it("shows the server's message in the state", async () => {
    const stage = new Stage();
    stage.server.faults = [refuse(503, { detail: "This server is about to end." })];
    await stage.sendAndRead();
    const waiting = stage.states.find(({ phase }) => phase === "reconnecting");
    expect(waiting?.error).toMatchObject({ message: "This server is about to end.", status: 503 });
    expect(stage.state.error).toBeUndefined();
  });

  it("is retried after the `Retry-After`, in seconds or as a date", async () => {
    const stage = new Stage();
    const date = new Date(stage.clock.now() + 60_000).toUTCString();
    stage.server.faults = [
      refuse(503, {}, { "retry-after": "20" }),
      refuse(429, {}, { "retry-after": date }),
      refuse(500, {}, { "retry-after": "3" }),
    ];
    await stage.sendAndRead();
    const delays = stage.states.flatMap(({ delayMs }) => delayMs ?? []);
    expect(delays).toEqual([20_000, 40_000, 3000]);
  });

  it("is retried early for the application, but not for the page", async () => {
    const stage = new Stage();
    stage.server.faults = [refuse(503, {}, { "retry-after": "20" })];
    const reading = read(await stage.send());
    await stage.clock.advance(1000);
    await stage.environment.hide();
    await stage.environment.show();
    await stage.environment.goOffline();
    expect(stage.state.phase).toBe("offline");
    await stage.environment.goOnline();
    expect(stage.state.phase).toBe("reconnecting");
    expect(stage.server.received).toHaveLength(1);
    stage.transport.retryNow("c1");
    await reading;
    expect(stage.server.received).toHaveLength(2);
  });
});

describe("an answer of another type", () => {
  it.each(["x-text/event-stream", "application/json"])("such as %s is not a stream", async (type) => {
    const stage = new Stage();
    const headers = { "content-type": type };
    stage.server.faults = [({ frames, signal }) => body({ headers, signal }, [frames()], "end")];
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
    const failed = stage.states.find(({ error }) => error !== undefined);
    expect(failed?.error).toMatchObject({ kind: "not-a-stream" });
  });
});

describe("an invalid stream", () => {
  const broken = (data: string): Fault => {
    const bytes = encode(`${frame(1, { type: "start" })}id: ${cursorOf(2)}\ndata: ${data}\n\n`);
    return (answer) => body(answer, [bytes], "end");
  };

  it.each(["{", "null", '{"type":"text-delta","id":"p"}'])("with %j is an error", async (data) => {
    const stage = new Stage();
    stage.server.faults = [broken(data)];
    const reader = (await stage.send()).getReader();
    expect((await reader.read()).value).toEqual({ type: "start" });
    await expect(reader.read()).rejects.toMatchObject({
      kind: "not-a-stream",
      message: "The server's answer cannot be read. Load the chat again.",
      retryable: false,
    });
    expect(stage.server.received).toHaveLength(1);
    expect(stage.state).toMatchObject({ phase: "ended", cursor: cursorOf(1) });
  });

  it("with an event beyond 16 MiB is an error", async () => {
    const stage = new Stage();
    const pieces = [encode("data: "), ...times(17, encode("x".repeat(1024 * 1024)))];
    stage.server.faults = [(answer) => body(answer, pieces, "hang")];
    await expect(drive(stage.clock, read(await stage.send()))).rejects.toMatchObject({
      kind: "not-a-stream",
      cause: { name: "EventTooLarge" },
    });
  });
});
