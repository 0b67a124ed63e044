import { describe, expect, it } from "vitest";
import type { Fault } from "./testing/server.js";
import { body, encode, records, refuse, RUN, silent, unreachable } from "./testing/server.js";
import { read, Stage } from "./testing/stage.js";
import { drive, until } from "./testing/world.js";

async function live() {
  const stage = new Stage();
  stage.server.faults = [records(4, "hang")];
  const stream = await stage.send();
  await until(() => stage.state.cursor !== undefined);
  const stop = () => drive(stage.clock, stage.transport.stop("c1"));
  return { stage, stream, stop };
}

const stops = ({ server }: Stage) => server.requests.filter((one) => one.includes("/stop"));

describe("stop", () => {
  it("ends the run that is followed; the stream ends by the server's own chunk", async () => {
    const { stage, stream, stop } = await live();
    expect(await stop()).toBe(true);
    expect(stops(stage)).toEqual([`POST /api/chat/c1/stop?run=${RUN}`]);
    stage.server.log = [...stage.server.log.slice(0, 4), { type: "abort" }];
    await stage.environment.goOffline();
    await stage.environment.goOnline();
    const chunks = await read(stream);
    expect(chunks.at(-1)).toEqual({ type: "abort" });
    expect(stage.state).toMatchObject({ phase: "ended", error: undefined });
  });

  it("reports that the run had ended already", async () => {
    const { stage, stream, stop } = await live();
    stage.server.active = false;
    expect(await stop()).toBe(false);
    await stream.cancel();
  });

  it("stops the active run of a chat not followed, or the named run", async () => {
    const stage = new Stage();
    await stage.transport.stop("a/b");
    await stage.transport.stop("c1", "01x");
    expect(stops(stage)).toEqual(["POST /api/chat/a%2Fb/stop", "POST /api/chat/c1/stop?run=01x"]);
  });

  it("stops the chat's active run where the server does not name it", async () => {
    const stage = new Stage();
    const headers = { "content-type": "text/event-stream" };
    stage.server.faults = [({ signal }) => body({ headers, signal }, [], "hang")];
    await stage.send();
    await until(() => stage.state.phase === "live");
    expect(await stage.transport.stop("c1")).toBe(true);
    expect(stops(stage)).toEqual(["POST /api/chat/c1/stop"]);
    stage.transport.close();
  });

  it("stops the run of a stream that was detached", async () => {
    const { stage, stream, stop } = await live();
    await stream.cancel();
    await stop();
    expect(stops(stage)).toEqual([`POST /api/chat/c1/stop?run=${RUN}`]);
  });

  it("waits for the run of a message that is being sent", async () => {
    const stage = new Stage();
    stage.server.faults = [unreachable, unreachable, records(4, "hang")];
    const stream = await stage.send();
    const stopped = stage.transport.stop("c1");
    await stage.clock.advance(100);
    expect(stops(stage)).toEqual([]);
    await stage.clock.advance(1000);
    expect(await stopped).toBe(true);
    expect(stops(stage)).toEqual([`POST /api/chat/c1/stop?run=${RUN}`]);
    await stream.cancel();
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("is sent at once while the stream is disconnected", async () => {
    const { stage, stream, stop } = await live();
    stage.server.faults = Array.from({ length: 20 }, () => unreachable);
    await stage.environment.goOffline();
    expect(stage.state.phase).toBe("offline");
    const before = stage.clock.now();
    expect(await stop()).toBe(true);
    expect(stage.clock.now()).toBe(before);
    await stage.environment.goOnline();
    await stage.clock.advance(1000);
    expect(stage.state.phase).toBe("reconnecting");
    await stop();
    expect(stops(stage)).toEqual(Array(2).fill(`POST /api/chat/c1/stop?run=${RUN}`));
    await stream.cancel();
  });

  it("has a timeout while it waits for a message to be accepted", async () => {
    const stage = new Stage();
    stage.server.faults = Array.from({ length: 100 }, () => unreachable);
    const stream = await stage.send();
    await expect(drive(stage.clock, stage.transport.stop("c1"))).rejects.toMatchObject({
      kind: "network",
    });
    expect(stops(stage)).toEqual([]);
    await stream.cancel();
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("is retried while the network or the server fails", async () => {
    const { stage, stream, stop } = await live();
    stage.server.stopFaults = [
      unreachable,
      silent,
      refuse(503, {}, { "retry-after": "1" }),
      refuse(200, "<html>"),
      (answer) => body(answer, [encode('{"stopped":')], "error"),
    ];
    expect(await stop()).toBe(true);
    expect(stops(stage)).toHaveLength(6);
    await stream.cancel();
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("waits longer after each failure, and as long as the server asks", async () => {
    const stage = new Stage();
    const times: number[] = [];
    const begin = stage.clock.now();
    const at =
      (fault: Fault): Fault =>
      (answer) => {
        times.push(stage.clock.now() - begin);
        return fault(answer);
      };
    const seconds = refuse(503, {}, { "retry-after": "7" });
    const until = new Date(begin + 14_000).toUTCString();
    const date = refuse(503, {}, { "retry-after": until });
    stage.server.stopFaults = [unreachable, unreachable, unreachable, seconds, date].map(at);
    expect(await drive(stage.clock, stage.transport.stop("c1"))).toBe(true);
    expect([...times, stage.clock.now() - begin]).toEqual([0, 250, 750, 1750, 8750, 14_000]);
  });

  it("is retried at once when the network is back", async () => {
    const stage = new Stage({ backoff: { minMs: 10_000 } });
    stage.server.stopFaults = [unreachable];
    const stopped = stage.transport.stop("c1");
    await stage.clock.advance(5);
    await stage.environment.goOnline();
    expect(await stopped).toBe(true);
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("gives up after 20 seconds with the last failure", async () => {
    const stage = new Stage();
    const begin = stage.clock.now();
    stage.server.stopFaults = Array.from({ length: 100 }, () => unreachable);
    await expect(drive(stage.clock, stage.transport.stop("c1"))).rejects.toMatchObject({
      kind: "network",
      message: "The server could not be reached.",
    });
    expect(stage.clock.now() - begin).toBeLessThanOrEqual(20_000);
    expect(stops(stage).length).toBeGreaterThan(4);
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("has a timeout although the server is silent", async () => {
    const stage = new Stage({ stopMs: 15_000 });
    const begin = stage.clock.now();
    stage.server.stopFaults = [silent, silent];
    await expect(drive(stage.clock, stage.transport.stop("c1"))).rejects.toMatchObject({
      kind: "network",
    });
    expect([stage.clock.now() - begin, stops(stage).length]).toEqual([15_000, 2]);
  });

  it.each<[string, Fault, object]>([
    ["there is no answer", unreachable, { kind: "network" }],
    ["it is not one", refuse(200, "<html>"), { kind: "not-a-stream", cause: expect.any(SyntaxError) }],
  ])("is not retried after its timeout, and %s", async (_, fault, reason) => {
    const stage = new Stage({ stopMs: 250 });
    stage.server.stopFaults = [fault];
    await expect(drive(stage.clock, stage.transport.stop("c1"))).rejects.toMatchObject(reason);
    expect(stops(stage)).toHaveLength(1);
  });

  it("does not retry a refusal, nor read a long one to its end", async () => {
    const stage = new Stage();
    let cancelled = false;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(encode("x".repeat(1024))),
      cancel: () => void (cancelled = true),
    });
    stage.server.stopFaults = [
      refuse(404, { detail: "There is no such answer." }),
      () => new Response(endless, { status: 404 }),
    ];
    await expect(stage.transport.stop("c1")).rejects.toMatchObject({
      kind: "not-found",
      message: "There is no such answer.",
    });
    await expect(stage.transport.stop("c1")).rejects.toMatchObject({ kind: "not-found" });
    expect([stops(stage).length, cancelled]).toEqual([2, true]);
    stage.server.stopFaults = [() => new Response(null, { status: 404 })];
    await expect(stage.transport.stop("c1")).rejects.toMatchObject({ kind: "not-found" });
    expect(stage.server.received[0]?.headers.get("accept")).toBe("application/json");
  });
});
