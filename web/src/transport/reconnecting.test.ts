import type { UIMessageChunk } from "ai";
import { describe, expect, it } from "vitest";
import type { Answer } from "./testing/server.js";
import { body, cursorOf, encode, frame, records, RUN, unreachable } from "./testing/server.js";
import { folded, read, Stage } from "./testing/stage.js";
import { drive } from "./testing/world.js";

const whole = (stage: Stage) => folded(stage.server.log);

describe("a stream", () => {
  it("is the run's chunks, then its end", async () => {
    const stage = new Stage();
    expect(folded(await stage.sendAndRead())).toEqual(whole(stage));
    expect(stage.phases).toEqual(["connecting", "live", "ended"]);
    expect(stage.state).toMatchObject({
      phase: "ended",
      runId: RUN,
      cursor: cursorOf(stage.server.log.length),
      attempt: 0,
      resumes: 0,
      skipped: 0,
    });
    expect(stage.state.error).toBeUndefined();
  });

  it.each(["error", "end"] as const)("resumes after its cursor (%s)", async (ending) => {
    const stage = new Stage();
    stage.server.faults = [records(4, ending), records(1, ending)];
    expect(folded(await stage.sendAndRead())).toEqual(whole(stage));
    expect(stage.server.requests).toEqual([
      "POST /api/chat",
      "GET /api/chat/c1/stream",
      "GET /api/chat/c1/stream",
    ]);
    expect(stage.server.cursors).toEqual([null, cursorOf(4), cursorOf(5)]);
    expect(stage.state).toMatchObject({ phase: "ended", resumes: 2, attempt: 0 });
    const cause = ending === "error" ? expect.any(TypeError) : undefined;
    const failed = stage.states.find(({ error }) => error !== undefined);
    expect(failed?.error).toMatchObject({ kind: "network", cause });
    const again = ["reconnecting", "live"];
    expect(stage.phases).toEqual(["connecting", "live", ...again, ...again, "ended"]);
  });

  it("no longer shows a failure once it is connected again", async () => {
    const stage = new Stage();
    stage.server.faults = [records(4, "error"), unreachable, records(1, "hang")];
    const reading = read(await stage.send());
    await stage.clock.advance(5_000);
    expect(stage.state).toMatchObject({ phase: "live", resumes: 1, attempt: 0 });
    const { delayMs, retryAt, error } = stage.state;
    expect([delayMs, retryAt, error]).toEqual([undefined, undefined, undefined]);
    stage.transport.close();
    await expect(reading).rejects.toMatchObject({ name: "AbortError" });
  });

  it("sends the same bytes with the same key while the outcome is unknown", async () => {
    const stage = new Stage();
    stage.server.faults = [unreachable, records(0, "error"), records(0, "end")];
    expect(folded(await stage.sendAndRead())).toEqual(whole(stage));
    const posts = stage.server.received.filter(({ method }) => method === "POST");
    expect(posts).toHaveLength(4);
    expect(new Set(posts.map(({ body }) => body)).size).toBe(1);
    expect(stage.server.keys.size).toBe(1);
  });

  it("drops duplicates that the server sends", async () => {
    const stage = new Stage();
    stage.server.faults = [
      records(5, "error"),
      (answer) => body(answer, [answer.frames(2)], "end"),
    ];
    expect(folded(await stage.sendAndRead())).toEqual(whole(stage));
    expect(stage.state.cursor).toBe(cursorOf(stage.server.log.length));
  });

  it("treats [DONE] without a terminal chunk as a cut", async () => {
    const stage = new Stage();
    const bytes = encode(`${frame(1, { type: "start" })}data: [DONE]\n\n`);
    stage.server.faults = [(answer) => body(answer, [bytes], "hang")];
    await stage.sendAndRead();
    expect(stage.server.cursors).toEqual([null, cursorOf(1)]);
  });

  it.each<UIMessageChunk>([
    { type: "finish" },
    { type: "abort" },
    { type: "error", errorText: "No." },
  ])(
    "ends with $type, whatever comes after it",
    async (last) => {
      const stage = new Stage();
      let isClosed = false;
      stage.server.faults = [
        ({ headers }) => {
          const chunks = [{ type: "start" } as const, last, { type: "start-step" } as const];
          const text = chunks.map((chunk, i) => frame(i + 1, chunk)).join("");
          return new Response(
            new ReadableStream({
              start: (controller) => controller.enqueue(encode(text)),
              cancel: () => {
                isClosed = true;
              },
            }),
            { headers },
          );
        },
      ];
      expect(await stage.sendAndRead()).toEqual([{ type: "start" }, last]);
      expect(isClosed).toBe(true);
      expect(stage.server.received).toHaveLength(1);
      expect(stage.state).toMatchObject({ phase: "ended", cursor: cursorOf(2) });
      expect(stage.state.error).toBeUndefined();
    },
  );

  it("ends when nothing is missing at a reconnect", async () => {
    const stage = new Stage();
    const log = stage.server.log;
    stage.server.faults = [records(4, "error"), () => new Response(null, { status: 204 })];
    expect(folded(await stage.sendAndRead())).toEqual(folded(log.slice(0, 4)));
    expect(stage.state).toMatchObject({ phase: "ended", cursor: cursorOf(4) });
    expect(stage.state.error).toBeUndefined();
  });

  it("joins the neighbouring deltas of one network read", async () => {
    const stage = new Stage();
    const text = (delta: string, id = "p"): UIMessageChunk => ({ type: "text-delta", id, delta });
    stage.server.log = [text("a"), text("b"), text("c", "q"), text("d", "q"), { type: "finish" }];
    const frames = stage.server.log.map((chunk, i) => frame(i + 1, chunk));
    const piece = (from: number, to: number) => encode(frames.slice(from, to).join(""));
    stage.server.faults = [(answer) => body(answer, [piece(0, 3), piece(3, 5)], "end")];
    const expected = [text("ab"), text("c", "q"), text("d", "q"), { type: "finish" }];
    expect(await stage.sendAndRead()).toEqual(expected);
  });

  it("has the cursor of the last delta after joining", async () => {
    const stage = new Stage();
    stage.server.faults = [records(5, "hang")];
    const stream = await stage.send();
    const reader = stream.getReader();
    for (let i = 0; i < 4; i += 1) await reader.read();
    expect(stage.state.cursor).toBe(cursorOf(5));
    await reader.cancel();
  });

  it("skips chunks of an unknown type and counts them", async () => {
    const stage = new Stage();
    const log = stage.server.log;
    stage.server.log = [...log.slice(0, 3), { type: "hologram" } as never, ...log.slice(3)];
    stage.server.faults = [records(4, "error")];
    expect(folded(await stage.sendAndRead())).toEqual(folded(log));
    expect(stage.server.cursors).toEqual([null, cursorOf(4)]);
    expect(stage.state.skipped).toBe(1);
  });

  it("skips events that have a type of their own", async () => {
    const stage = new Stage();
    stage.server.faults = [
      (answer) => body(answer, [encode("event: ping\ndata: 1\n\n"), answer.frames()], "end"),
    ];
    expect(folded(await stage.sendAndRead())).toEqual(whole(stage));
    expect(stage.state.skipped).toBe(1);
  });

  it("never continues with the stream of another run", async () => {
    const stage = new Stage();
    const other = { "content-type": "text/event-stream", "x-run-id": "01other" };
    stage.server.faults = [
      records(4, "error"),
      ({ frames, signal }) => body({ headers: other, signal }, [frames()], "end"),
    ];
    await expect(stage.sendAndRead()).rejects.toMatchObject({ kind: "cursor-lost" });
  });

  it("keeps its cursor after an event without an id", async () => {
    const stage = new Stage();
    const bytes = encode(`${frame(1, { type: "start" })}data: {"type":"data-x","data":1}\n\n`);
    stage.server.faults = [(answer) => body(answer, [bytes], "error")];
    const chunks = await stage.sendAndRead();
    expect(chunks[1]).toEqual({ type: "data-x", data: 1 });
    expect(stage.server.cursors).toEqual([null, cursorOf(1)]);
  });

  it("does not resume after chunks that have no cursor", async () => {
    const stage = new Stage();
    const bytes = encode('data: {"type":"start"}\n\n');
    stage.server.faults = [(answer) => body(answer, [bytes], "error")];
    await expect(stage.sendAndRead()).rejects.toMatchObject({
      kind: "cursor-lost",
      cause: { kind: "network" },
    });
    expect(stage.server.received).toHaveLength(1);
  });
});

describe("the delays", () => {
  const delays = (stage: Stage) => stage.states.flatMap(({ delayMs }) => delayMs ?? []);

  it("grow, and are reset by an event", async () => {
    const stage = new Stage();
    const { server } = stage;
    server.faults = [unreachable, unreachable, unreachable, records(1, "end"), unreachable];
    await stage.sendAndRead();
    expect(delays(stage)).toEqual([250, 500, 1000, 250, 500]);
    const waiting = stage.states.filter(({ delayMs }) => delayMs !== undefined);
    expect(waiting.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 1, 2]);
  });

  it("keep growing after a connection without events", async () => {
    const stage = new Stage();
    stage.server.faults = [records(1, "end"), records(0, "end"), records(0, "end")];
    await stage.sendAndRead();
    expect(delays(stage)).toEqual([250, 500, 1000]);
  });

  it("are as long as the state shows", async () => {
    const stage = new Stage({ random: () => 0.5 });
    stage.server.faults = [unreachable];
    const reading = read(await stage.send());
    await stage.clock.advance(0);
    const { delayMs, retryAt } = stage.state;
    expect([delayMs, retryAt]).toEqual([125, stage.clock.now() + 125]);
    await stage.clock.advance(124);
    expect(stage.server.received).toHaveLength(1);
    await stage.clock.advance(1);
    expect(stage.server.received).toHaveLength(2);
    await reading;
    expect(stage.state.retryAt).toBeUndefined();
  });

  it("are at least what `retry:` says", async () => {
    const stage = new Stage({ random: () => 0 });
    stage.server.retryMs = 1500;
    stage.server.faults = [records(3, "error")];
    await stage.sendAndRead();
    expect(delays(stage)).toEqual([1500]);
  });

  it("are at least what `retry:` said in an earlier connection", async () => {
    const stage = new Stage({ random: () => 0 });
    stage.server.retryMs = 1500;
    const silently = (answer: Answer) =>
      body(answer, [encode(frame(4, { type: "text-delta", id: "p1", delta: "x" }))], "error");
    stage.server.faults = [records(3, "error"), silently, unreachable];
    await stage.sendAndRead();
    expect(delays(stage)).toEqual([1500, 1500, 1500]);
  });

  it("have the default length with the default random numbers", async () => {
    const stage = new Stage({ random: Math.random });
    stage.server.faults = [unreachable, unreachable];
    await stage.sendAndRead();
    for (const delay of delays(stage)) expect(delay).toBeLessThanOrEqual(500);
  });

  it("can be ended by the application", async () => {
    const stage = new Stage({ backoff: { minMs: 10_000 } });
    stage.server.faults = [unreachable];
    const reading = read(await stage.send());
    await stage.clock.advance(0);
    const before = stage.clock.now();
    stage.transport.retryNow("c1");
    stage.transport.retryNow("another");
    await reading;
    expect(stage.clock.now()).toBe(before);
  });
});

describe("reconnectToStream", () => {
  const reconnect = (stage: Stage, abortSignal?: AbortSignal) =>
    stage.transport.reconnectToStream({ chatId: "c1", ...(abortSignal && { abortSignal }) });

  it("replays the run from its start", async () => {
    const stage = new Stage();
    const stream = await reconnect(stage);
    if (!stream) throw new Error("Expected a stream, and there was null: nothing is active.");
    expect(folded(await read(stream))).toEqual(whole(stage));
    expect(stage.server.requests).toEqual(["GET /api/chat/c1/stream"]);
    expect(stage.server.cursors).toEqual([null]);
    expect(stage.transport.resumeStreamIsReplay).toBe(true);
  });

  it("is null when no run is active", async () => {
    const stage = new Stage();
    stage.server.active = false;
    expect(await reconnect(stage)).toBeNull();
    expect(stage.state).toMatchObject({ phase: "idle", attempt: 0 });
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("retries and resumes as other streams do", async () => {
    const stage = new Stage();
    stage.server.faults = [unreachable, unreachable, records(4, "error")];
    const stream = await drive(stage.clock, reconnect(stage));
    if (!stream) throw new Error("Expected a stream, and there was null: nothing is active.");
    expect(folded(await drive(stage.clock, read(stream)))).toEqual(whole(stage));
    expect(stage.phases.slice(0, 3)).toEqual(["connecting", "reconnecting", "live"]);
    expect(stage.server.cursors).toEqual([null, null, null, cursorOf(4)]);
    expect(stage.state.resumes).toBe(1);
  });

  it("fails with a lost cursor when the run ended before its first event", async () => {
    const stage = new Stage();
    stage.server.faults = [records(0, "error"), () => new Response(null, { status: 204 })];
    const stream = await reconnect(stage);
    if (!stream) throw new Error("Expected a stream, and there was null: nothing is active.");
    await expect(drive(stage.clock, read(stream))).rejects.toMatchObject({ kind: "cursor-lost" });
  });

  it("gives up when it is aborted", async () => {
    const stage = new Stage();
    stage.server.faults = [unreachable];
    const controller = new AbortController();
    const pending = reconnect(stage, controller.signal);
    await stage.clock.advance(0);
    expect(stage.state.phase).toBe("reconnecting");
    controller.abort();
    await expect(pending).rejects.toMatchObject({ name: "AbortError" });
    expect(stage.state.phase).toBe("idle");
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });
});
