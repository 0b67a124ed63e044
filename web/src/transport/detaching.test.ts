import type { UIMessageChunk } from "ai";
import { describe, expect, it, vi } from "vitest";
import {
  body,
  cursorOf,
  encode,
  frame,
  records,
  RUN,
  silent,
  unreachable,
} from "./testing/server.js";
import { folded, read, SEND, Stage } from "./testing/stage.js";
import { drive, until } from "./testing/world.js";

const NOTHING = { timers: 0, listeners: 0 };

async function live(abortSignal?: AbortSignal) {
  const stage = new Stage();
  stage.server.faults = [records(4, "hang")];
  const stream = await stage.send({ abortSignal });
  await until(() => stage.state.phase === "live" && stage.state.cursor !== undefined);
  return { stage, stream };
}

/** Counts the listeners of a signal. */
function countedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  let listening = 0;
  const [add, remove] = [signal.addEventListener, signal.removeEventListener];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    if (args[0] === "abort") listening += 1;
    add.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    if (args[0] === "abort") listening -= 1;
    remove.apply(signal, args);
  };
  return { controller, signal, listening: () => listening };
}

describe("detaching", () => {
  it("by the signal fails the stream with its reason, but not the run", async () => {
    const { controller, signal, listening } = countedSignal();
    const { stage, stream } = await live(signal);
    expect(listening()).toBe(1);
    controller.abort();
    await expect(read(stream)).rejects.toMatchObject({ name: "AbortError" });
    expect(stage.state).toMatchObject({ phase: "idle", runId: RUN, cursor: cursorOf(4) });
    await stage.clock.advance(1_000_000);
    expect(stage.server.requests).toEqual(["POST /api/chat"]);
    expect(stage.left).toEqual(NOTHING);
    expect(listening()).toBe(0);
  });

  it("by cancelling the stream does the same", async () => {
    const { controller, signal, listening } = countedSignal();
    const { stage, stream } = await live(signal);
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    controller.abort();
    await stage.clock.advance(1_000_000);
    expect(stage.server.requests).toEqual(["POST /api/chat"]);
    expect(stage.state.phase).toBe("idle");
    expect(stage.left).toEqual(NOTHING);
    expect(listening()).toBe(0);
  });

  it.each(["connecting", "reconnecting", "paused"])("works while %s", async (phase) => {
    const stage = new Stage();
    stage.server.faults =
      phase === "connecting" ? [() => new Promise(() => {})] : [records(2, "hang"), unreachable];
    const controller = new AbortController();
    const stream = await stage.send({ abortSignal: controller.signal });
    await stage.clock.advance(0);
    if (phase === "reconnecting") {
      await stage.environment.goOffline();
      await stage.environment.goOnline();
    } else if (phase === "paused") {
      await stage.environment.hide();
      await stage.clock.advance(30_000);
    }
    expect(stage.state.phase).toBe(phase);
    controller.abort();
    await expect(read(stream)).rejects.toMatchObject({ name: "AbortError" });
    await stage.clock.advance(0);
    expect(stage.state).toMatchObject({ phase: "idle", attempt: 0, retryAt: undefined });
    expect(stage.left).toEqual(NOTHING);
  });

  it("aborts the request, before and after the response", async () => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const stage: Stage = new Stage({
      fetch: (input, init) => {
        signals.push(init?.signal);
        return stage.server.fetch(input, init);
      },
    });
    stage.server.faults = [records(4, "hang"), silent];
    await stage.send();
    await stage.send();
    await stage.clock.advance(0);
    expect(signals.map((signal) => signal?.aborted)).toEqual([false, false]);
    stage.transport.close();
    expect(signals.map((signal) => signal?.aborted)).toEqual([true, true]);
  });

  it("before the request sends nothing and resolves no body", async () => {
    const stage = new Stage({ body: () => Promise.reject(new Error("no model")) });
    const abortSignal = AbortSignal.abort();
    await expect(stage.send({ abortSignal })).rejects.toMatchObject({ name: "AbortError" });
    const again = stage.transport.reconnectToStream({ chatId: "c1", abortSignal });
    await expect(again).rejects.toMatchObject({ name: "AbortError" });
    expect(stage.server.received).toEqual([]);
    expect(stage.state.phase).toBe("idle");
  });

  it("from all streams is `close`; the transport can be used again", async () => {
    const { stage, stream } = await live();
    stage.server.faults = [records(4, "hang")];
    const other = await stage.send({ chatId: "c2" });
    stage.transport.close();
    const reason = { name: "AbortError", message: "The stream was let go." };
    await expect(read(stream)).rejects.toMatchObject(reason);
    await expect(read(other)).rejects.toMatchObject(reason);
    expect(stage.left).toEqual(NOTHING);
    expect(folded(await stage.sendAndRead())).toEqual(folded(stage.server.log));
  });

  it("and dropping the state is `forget`", async () => {
    const { stage, stream } = await live();
    const before = stage.states.length;
    stage.transport.forget("c1");
    await expect(read(stream)).rejects.toMatchObject({ name: "AbortError" });
    expect(stage.state).toEqual({ phase: "idle", attempt: 0, resumes: 0, skipped: 0 });
    expect(stage.states).toHaveLength(before + 1);
    stage.transport.forget("never seen");
    await stage.sendAndRead();
    expect(stage.phases.at(-1)).toBe("ended");
  });
});

describe("what is left after a stream", () => {
  it("is nothing, however it ended", async () => {
    const { signal, listening } = countedSignal();
    const stage = new Stage();
    stage.server.faults = [unreachable, records(2, "error"), records(1, "hang"), records(1, "end")];
    await drive(stage.clock, read(await stage.send({ abortSignal: signal })));
    expect(stage.left).toEqual(NOTHING);
    expect(listening()).toBe(0);
  });
});

describe("the state", () => {
  it("is the same object until it changes", async () => {
    const { stage, stream } = await live();
    const first = stage.state;
    expect(first.cursor).toBe(cursorOf(4));
    expect(stage.state).toBe(first);
    expect(stage.transport.getState("unknown")).toBe(stage.transport.getState("unseen"));
    await stage.environment.goOffline();
    expect(stage.state).not.toBe(first);
    expect(stage.state).toBe(stage.state);
    await stream.cancel();
  });

  it("does not notify subscribers of a new cursor alone", async () => {
    const stage = new Stage();
    stage.server.faults = [
      (answer) => {
        const pieces = stage.server.log.map((chunk, i) => encode(frame(i + 1, chunk)));
        return body(answer, pieces, "end");
      },
    ];
    const cursors = new Set<unknown>();
    const reader = (await stage.send()).getReader();
    for (;;) {
      if ((await reader.read()).done) break;
      cursors.add(stage.state.cursor);
    }
    expect(cursors.size).toBeGreaterThan(3);
    expect(stage.states.map(({ phase }) => phase)).toEqual(["connecting", "live", "ended"]);
  });

  it("is connecting as soon as a message is sent", () => {
    const stage = new Stage();
    void stage.send();
    expect(stage.state).toEqual({ phase: "connecting", attempt: 0, resumes: 0, skipped: 0 });
    stage.transport.close();
  });

  it("notifies a subscriber until it unsubscribes", async () => {
    const stage = new Stage();
    const [kept, gone] = [[] as string[], [] as string[]];
    stage.transport.subscribe("c1", () => kept.push(stage.state.phase));
    const end = stage.transport.subscribe("c1", () => gone.push(stage.state.phase));
    end();
    end();
    await stage.sendAndRead();
    expect([kept.at(-1), gone]).toEqual(["ended", []]);
  });

  it("notifies later subscribers, although one unsubscribed twice", async () => {
    const stage = new Stage();
    const end = stage.transport.subscribe("c2", () => undefined);
    end();
    const phases: string[] = [];
    stage.transport.subscribe("c2", () => phases.push(stage.transport.getState("c2").phase));
    end();
    await drive(stage.clock, read(await stage.send({ chatId: "c2" })));
    expect(phases).toEqual(["connecting", "live", "ended"]);
  });

  it("notifies every subscriber although one throws an error", async () => {
    const reported: (() => void)[] = [];
    vi.stubGlobal("queueMicrotask", (report: () => void) => reported.push(report));
    const stage = new Stage();
    const phases: string[] = [];
    stage.transport.subscribe("c1", () => {
      throw new Error("listener");
    });
    stage.transport.subscribe("c1", () => phases.push(stage.state.phase));
    const chunks = await stage.sendAndRead();
    vi.unstubAllGlobals();
    expect([chunks.at(-1)?.type, phases]).toEqual(["finish", ["connecting", "live", "ended"]]);
    expect(reported).toHaveLength(3);
    for (const report of reported) expect(report).toThrow("listener");
  });

  it("of one chat is not that of another", async () => {
    const stage = new Stage();
    await drive(stage.clock, read(await stage.send({ chatId: "c2" })));
    expect(stage.states).toEqual([]);
    expect(stage.state.phase).toBe("idle");
  });

  it("is that of the newest stream", async () => {
    const { stage, stream } = await live();
    stage.server.faults = [records(2, "hang")];
    const second = await stage.transport.reconnectToStream({ chatId: "c1" });
    await until(() => stage.state.cursor === cursorOf(2));
    await stage.environment.goOffline(); // both lose their connection
    await stage.environment.goOnline();
    const [first, again] = await Promise.all([read(stream), read(second ?? new ReadableStream())]);
    expect(folded(first)).toEqual(folded(stage.server.log));
    expect(folded(again)).toEqual(folded(stage.server.log));
    expect(stage.state).toMatchObject({ phase: "ended", resumes: 1 });
  });

  it("is that of the newest stream after its end, too", async () => {
    const { stage, stream } = await live();
    const second = await stage.transport.reconnectToStream({ chatId: "c1" });
    await read(second ?? new ReadableStream());
    expect(stage.state).toMatchObject({ phase: "ended", cursor: cursorOf(stage.server.log.length) });
    await stream.cancel();
  });

  it("is not changed by an older stream", async () => {
    const { stage, stream } = await live();
    stage.server.faults = [records(2, "hang")];
    const second = await stage.transport.reconnectToStream({ chatId: "c1" });
    await until(() => stage.state.cursor === cursorOf(2));
    const [before, changes] = [stage.state, stage.states.length];
    await stream.cancel();
    expect(stage.state).toBe(before);
    expect(stage.states).toHaveLength(changes);
    await second?.cancel();
  });

  it("is that of the older stream when the newer found no run", async () => {
    const { stage, stream } = await live();
    stage.server.active = false;
    expect(await stage.transport.reconnectToStream({ chatId: "c1" })).toBeNull();
    expect(stage.state).toMatchObject({ phase: "live", cursor: cursorOf(4) });
    await stream.cancel();
    expect(stage.state.phase).toBe("idle");
  });
});

describe("backpressure", () => {
  it("reads the network only one step ahead of the reader", async () => {
    const stage = new Stage();
    let pulled = 0;
    const delta = (i: number): UIMessageChunk => ({ type: "text-delta", id: "p", delta: `${i}` });
    stage.server.faults = [
      ({ headers }) =>
        new Response(
          new ReadableStream<Uint8Array>(
            {
              pull: (controller) => {
                pulled += 1;
                controller.enqueue(encode(frame(pulled, delta(pulled))));
              },
            },
            { highWaterMark: 0 },
          ),
          { headers },
        ),
    ];
    const reader = (await stage.transport.sendMessages(SEND)).getReader();
    await stage.clock.advance(10);
    expect(pulled).toBe(1);
    for (let i = 1; i <= 50; i += 1) expect((await reader.read()).value).toEqual(delta(i));
    await stage.clock.advance(10);
    expect(pulled).toBeLessThanOrEqual(52);
    await stage.clock.advance(1_000_000); // a slow reader does not cause a timeout
    await stage.environment.show();
    for (let i = 51; i <= 60; i += 1) expect((await reader.read()).value).toEqual(delta(i));
    expect(stage.state).toMatchObject({ phase: "live", resumes: 0 });
    await reader.cancel();
  });
});
