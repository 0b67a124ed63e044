import { describe, expect, it } from "vitest";
import { body, cursorOf, encode, records, refuse, silent, unreachable } from "./testing/server.js";
import { folded, read, Stage } from "./testing/stage.js";
import { until } from "./testing/world.js";

/** A stage with a stream that has delivered four records and is then idle. */
async function live(options?: ConstructorParameters<typeof Stage>[0]) {
  const stage = new Stage(options);
  stage.server.faults = [records(4, "hang")];
  const reading = read(await stage.send());
  reading.catch(() => {}); // where a test detaches
  await until(() => stage.state.cursor === cursorOf(4));
  const whole = async () => expect(folded(await reading)).toEqual(folded(stage.server.log));
  return { stage, whole };
}

describe("the network", () => {
  it("disconnects when it is lost, and resumes at once when it is back", async () => {
    const { stage, whole } = await live();
    stage.server.faults = Array.from({ length: 20 }, () => unreachable);
    await stage.environment.goOffline();
    const error = { kind: "network", message: "There is no network." };
    expect(stage.state).toMatchObject({ phase: "offline", attempt: 1, error });
    await stage.clock.advance(60_000);
    expect(stage.state.phase).toBe("offline");
    stage.server.faults = [];
    const before = stage.clock.now();
    await stage.environment.goOnline();
    await whole();
    expect(stage.clock.now()).toBe(before);
    expect(stage.state.resumes).toBe(1);
    expect(stage.phases).toEqual([
      "connecting",
      "live",
      "offline",
      "reconnecting",
      "live",
      "ended",
    ]);
  });

  it("is tried although the browser is offline: the server may be local", async () => {
    const { stage, whole } = await live();
    await stage.environment.goOffline();
    await stage.clock.advance(250);
    await whole();
  });

  it("changes the phase during a delay", async () => {
    const stage = new Stage({ backoff: { minMs: 10_000 } });
    stage.server.faults = [unreachable];
    const reading = read(await stage.send());
    await stage.clock.advance(1);
    expect(stage.state).toMatchObject({ phase: "reconnecting", delayMs: 10_000 });
    await stage.environment.goOffline();
    expect(stage.state).toMatchObject({ phase: "offline", delayMs: 10_000 });
    await stage.environment.goOnline();
    await reading;
  });
});

describe("silence", () => {
  it("of 40 seconds is a timeout", async () => {
    const { stage, whole } = await live();
    await stage.clock.advance(39_999);
    expect(stage.state.phase).toBe("live");
    await stage.clock.advance(1);
    expect(stage.state).toMatchObject({ phase: "reconnecting", attempt: 1 });
    expect(stage.state.error?.message).toBe("The server has sent nothing for 40 seconds.");
    await stage.clock.advance(250);
    await whole();
    expect(stage.server.cursors).toEqual([null, cursorOf(4)]);
  });

  it("is ended by a comment", async () => {
    const stage = new Stage();
    let send: (text: string) => void = () => {};
    stage.server.faults = [
      ({ headers }) =>
        new Response(
          new ReadableStream<Uint8Array>({
            start: (controller) => {
              send = (text) => controller.enqueue(encode(text));
            },
          }),
          { headers },
        ),
    ];
    const reader = (await stage.send()).getReader();
    for (let i = 0; i < 10; i += 1) {
      await stage.clock.advance(39_000);
      send(": keep-alive\n\n");
      await stage.clock.advance(0);
    }
    expect(stage.state.phase).toBe("live");
    await reader.cancel();
  });

  it("before the response is a timeout, too", async () => {
    const stage = new Stage();
    stage.server.faults = [silent];
    const reading = read(await stage.send());
    await stage.clock.advance(40_000);
    expect(stage.state.phase).toBe("reconnecting");
    await stage.clock.advance(250);
    await reading;
    expect(stage.server.keys.size).toBe(1);
  });

  it("is a timeout where fetch ignores signals", async () => {
    const stage: Stage = new Stage({
      fetch: (input, { signal: _, ...init } = {}) => stage.server.fetch(input, init),
    });
    let cancelled = 0;
    stage.server.faults = [
      silent,
      ({ headers }) => {
        const cancel = () => void (cancelled += 1);
        return new Response(new ReadableStream({ cancel }), { headers });
      },
    ];
    const reading = read(await stage.send());
    await stage.clock.advance(40_000);
    await stage.clock.advance(250);
    expect(stage.state.phase).toBe("live");
    await stage.clock.advance(41_000);
    expect(cancelled).toBe(1);
    expect(folded(await reading)).toEqual(folded(stage.server.log));
  });

  it("cancels a response that comes after the timeout", async () => {
    const stage: Stage = new Stage({
      fetch: (input, { signal: _, ...init } = {}) => stage.server.fetch(input, init),
    });
    let cancelled = false;
    let answerLate: (response: Response) => void = () => {};
    stage.server.faults = [() => new Promise((resolve) => (answerLate = resolve))];
    const reading = read(await stage.send());
    await stage.clock.advance(41_000);
    await reading;
    const cancel = () => void (cancelled = true);
    answerLate(new Response(new ReadableStream({ cancel })));
    await until(() => cancelled);
  });

  it("is found by the clock after a sleep, and the retry has no delay", async () => {
    const { stage, whole } = await live();
    stage.clock.time += 40_000; // no timer ran
    await stage.environment.show();
    await whole();
    const lost = stage.states.find(({ phase }) => phase === "reconnecting");
    expect(lost).toMatchObject({ attempt: 1, error: { kind: "network" } });
    expect(stage.server.cursors).toEqual([null, cursorOf(4)]);
  });

  it("found after a sleep skips one delay, not those of later failures", async () => {
    const { stage, whole } = await live();
    stage.server.faults = [unreachable, unreachable];
    stage.clock.time += 3_600_000; // no timer ran
    await stage.environment.show();
    await until(() => stage.state.attempt === 2);
    expect(stage.state).toMatchObject({ phase: "reconnecting", delayMs: 500 });
    expect(stage.server.received).toHaveLength(2);
    await stage.clock.advance(1500);
    await whole();
  });

  it("of a shorter time is no timeout when the page is seen again", async () => {
    const { stage } = await live();
    stage.clock.time += 39_000;
    await stage.environment.hide();
    await stage.environment.show();
    await stage.environment.goOnline();
    expect(stage.state.phase).toBe("live");
    stage.transport.close();
  });
});

describe("a hidden page", () => {
  it("disconnects at once on `pauseIfHidden`", async () => {
    const { stage, whole } = await live();
    await stage.environment.hide();
    stage.transport.pauseIfHidden();
    await until(() => stage.state.phase === "paused");
    await stage.environment.show();
    await whole();
    expect(stage.server.cursors).toEqual([null, cursorOf(4)]);
  });

  it("is the only one that `pauseIfHidden` disconnects", async () => {
    const { stage } = await live();
    stage.transport.pauseIfHidden();
    await stage.clock.advance(1_000);
    expect(stage.state.phase).toBe("live");
    stage.transport.close();
  });

  it("disconnects after 30 seconds and resumes when it is seen", async () => {
    const { stage, whole } = await live();
    await stage.environment.hide();
    await stage.clock.advance(29_999);
    expect(stage.state.phase).toBe("live");
    await stage.clock.advance(1);
    expect(stage.state).toMatchObject({ phase: "paused", attempt: 0, cursor: cursorOf(4) });
    expect(stage.left.timers).toBe(0);
    await stage.clock.advance(3_600_000);
    expect(stage.server.received).toHaveLength(1);
    const before = stage.clock.now();
    await stage.environment.show();
    await whole();
    expect(stage.clock.now()).toBe(before);
    expect(stage.server.cursors).toEqual([null, cursorOf(4)]);
    expect(stage.state).toMatchObject({ phase: "ended", resumes: 0 });
    const phases = ["connecting", "live", "paused", "reconnecting", "live", "ended"];
    expect(stage.phases).toEqual(phases);
  });

  it("starts its timeout again each time that it is hidden", async () => {
    const { stage } = await live({ silenceMs: 1e9 });
    expect(stage.left.timers).toBe(1); // the idle timeout
    await stage.environment.hide();
    await stage.environment.hide();
    await stage.clock.advance(20_000);
    await stage.environment.show();
    await stage.environment.hide();
    await stage.clock.advance(29_999);
    expect(stage.state.phase).toBe("live");
    stage.transport.close();
    await stage.clock.advance(0);
    expect(stage.left).toEqual({ timers: 0, listeners: 0 });
  });

  it("does not shorten the delay of a message not yet accepted", async () => {
    const stage = new Stage({ backoff: { minMs: 100_000, maxMs: 100_000 } });
    stage.server.faults = [unreachable];
    const reading = read(await stage.send());
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    expect(stage.server.received).toHaveLength(1);
    await stage.clock.advance(70_000);
    await stage.environment.show();
    expect(folded(await reading)).toEqual(folded(stage.server.log));
  });

  it("keeps the connection when it is seen before the timeout", async () => {
    const { stage } = await live();
    await stage.environment.hide();
    await stage.clock.advance(20_000);
    await stage.environment.show();
    await stage.clock.advance(15_000);
    expect(stage.state.phase).toBe("live");
    stage.transport.close();
  });

  it("pauses during the delay between attempts, too", async () => {
    const { stage, whole } = await live({ backoff: { minMs: 100_000, maxMs: 100_000 } });
    stage.server.faults = [unreachable];
    await stage.environment.goOffline();
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    expect(stage.state).toMatchObject({ phase: "paused", retryAt: undefined });
    await stage.environment.goOnline();
    await stage.environment.goOffline();
    await stage.clock.advance(200_000);
    expect(stage.state.phase).toBe("paused");
    stage.server.faults = [];
    await stage.environment.show();
    await whole();
  });

  it("pauses when an attempt fails while it is hidden", async () => {
    const { stage, whole } = await live({ hiddenMs: 1000 });
    await stage.environment.goOffline();
    stage.server.faults = [silent];
    await stage.clock.advance(250);
    await stage.environment.hide();
    await stage.clock.advance(1000);
    expect(stage.state.phase).toBe("paused");
    await stage.environment.show();
    await whole();
  });

  it("resumes at once although the server had asked for a long delay", async () => {
    const { stage, whole } = await live();
    stage.server.faults = [refuse(503, {}, { "retry-after": "3600" })];
    await stage.environment.goOffline();
    await stage.environment.goOnline();
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    expect(stage.state.phase).toBe("paused");
    await stage.environment.show();
    await whole();
  });

  it("counts consecutive failures from the last connection", async () => {
    const stage = new Stage();
    const failures = Array.from({ length: 4 }, () => refuse(500));
    stage.server.faults = [...failures, records(4, "hang"), ...failures];
    const reading = read(await stage.send());
    await stage.clock.advance(5_000);
    expect(stage.state.phase).toBe("live");
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    await stage.environment.show();
    await stage.clock.advance(5_000);
    expect(folded(await reading)).toEqual(folded(stage.server.log));
  });

  it("can be resumed by the application", async () => {
    const { stage, whole } = await live();
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    stage.transport.retryNow("c1");
    await whole();
  });

  it("sends its message until the server has it, then pauses", async () => {
    const stage = new Stage();
    stage.server.faults = Array.from({ length: 10 }, () => unreachable);
    await stage.environment.hide();
    const reading = read(await stage.send());
    await stage.clock.advance(45_000);
    expect(stage.state.phase).toBe("reconnecting");
    await stage.clock.advance(200_000);
    expect(stage.server.keys.size).toBe(1);
    expect(stage.state).toMatchObject({ phase: "paused", runId: "01run" });
    await stage.environment.show();
    expect(folded(await reading)).toEqual(folded(stage.server.log));
  });

  it("does not request a stream", async () => {
    const stage = new Stage();
    stage.server.faults = [silent];
    await stage.environment.hide();
    const pending = stage.transport.reconnectToStream({ chatId: "c1" });
    await stage.clock.advance(30_000);
    expect(stage.state.phase).toBe("paused");
    await stage.environment.show();
    const stream = await pending;
    expect(folded(await read(stream ?? new ReadableStream()))).toEqual(folded(stage.server.log));
  });

  it("never pauses with an infinite `hiddenMs`", async () => {
    const { stage } = await live({ hiddenMs: Number.POSITIVE_INFINITY, silenceMs: 1e9 });
    await stage.environment.hide();
    await stage.clock.advance(1e8);
    expect(stage.state.phase).toBe("live");
    stage.transport.close();
  });

  it("delivers the bytes that have arrived in the meantime", async () => {
    const { stage, whole } = await live();
    stage.server.faults = [(answer) => body(answer, [answer.frames(2)], "end")];
    await stage.environment.hide();
    await stage.clock.advance(30_000);
    await stage.environment.show();
    await whole();
  });
});
