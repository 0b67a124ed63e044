import type { UIMessage } from "ai";
import { afterEach, describe, expect, it, vi } from "vitest";
import { newKey } from "./sending.js";
import { records } from "./testing/server.js";
import { QUESTION, read, Stage } from "./testing/stage.js";
import { drive } from "./testing/world.js";

const ANSWER: UIMessage = { id: "m0", role: "assistant", parts: [{ type: "text", text: "Yes?" }] };
const NEXT: UIMessage = { id: "u2", role: "user", parts: [{ type: "text", text: "And now?" }] };

async function sent(stage: Stage, more: Parameters<Stage["send"]>[0] = {}) {
  await drive(stage.clock, read(await stage.send(more)));
  const [request] = stage.server.received;
  if (!request) throw new Error("Nothing was sent.");
  return { ...request, json: JSON.parse(request.body ?? "") as Record<string, unknown> };
}

describe("a sent request", () => {
  it("has the last message and the id of the one before it", async () => {
    const request = await sent(new Stage(), { messages: [QUESTION, ANSWER, NEXT] });
    expect(request).toMatchObject({ method: "POST", url: "/api/chat" });
    expect(request.json).toEqual({
      id: "c1",
      trigger: "submit-message",
      message: NEXT,
      parentId: "m0",
    });
    expect(request.headers.get("content-type")).toBe("application/json");
    expect(request.headers.get("accept")).toBe("text/event-stream");
  });

  it("names the message that is edited", async () => {
    const { json } = await sent(new Stage(), { messageId: "u1" });
    const trigger = "submit-message";
    expect(json).toEqual({ id: "c1", trigger, message: QUESTION, messageId: "u1" });
  });

  it("names the answer to regenerate, else the question", async () => {
    const again = { trigger: "regenerate-message", messages: [QUESTION] } as const;
    const named = await sent(new Stage(), { ...again, messages: [QUESTION], messageId: "m0" });
    expect(named.json).toMatchObject({ message: QUESTION, messageId: "m0" });
    const last = await sent(new Stage(), { ...again, messages: [QUESTION] });
    expect(last.json).toMatchObject({ message: QUESTION, messageId: "u1" });
  });

  it("carries the members of the transport and of the call, the call's first", async () => {
    const stage = new Stage({ body: async () => ({ model: "a", tone: "dry" }) });
    const { json } = await sent(stage, { body: { model: "b", parentId: "x" } });
    expect(json).toMatchObject({ model: "b", tone: "dry", parentId: "x", id: "c1" });
  });

  it("carries the headers of the transport and of the call, on reconnects too", async () => {
    let asked = 0;
    const stage = new Stage({
      headers: async () => ({ authorization: `Bearer ${++asked}`, "x-app": "a" }),
      credentials: "include",
    });
    stage.server.faults = [records(4, "error")];
    await sent(stage, { headers: { "X-App": "b" } });
    const seen = stage.server.received.map(({ headers }) => [
      headers.get("authorization"),
      headers.get("x-app"),
    ]);
    expect(seen).toEqual([
      ["Bearer 1", "b"],
      ["Bearer 2", "b"],
    ]);
    const again = stage.server.received[1]?.headers;
    expect([again?.has("idempotency-key"), again?.get("accept")]).toEqual([false, "text/event-stream"]);
  });

  it("passes the credentials mode to fetch", async () => {
    const modes: unknown[] = [];
    const stage: Stage = new Stage({
      credentials: () => "include",
      fetch: (input, init) => {
        modes.push(init?.credentials);
        return stage.server.fetch(input, init);
      },
    });
    await sent(stage);
    expect(modes).toEqual(["include"]);
  });

  it("uses the global fetch of that moment by default", async () => {
    const stage = new Stage({ fetch: undefined });
    vi.stubGlobal("fetch", stage.server.fetch);
    await sent(stage);
    vi.unstubAllGlobals();
  });

  it("has a new key for each call, also to regenerate", async () => {
    const stage = new Stage();
    for (const trigger of ["submit-message", "regenerate-message", "regenerate-message"] as const) {
      await drive(stage.clock, read(await stage.send({ trigger })));
    }
    expect(stage.server.keys.size).toBe(3);
    for (const key of stage.server.keys) expect(key).toMatch(/^[0-9a-f-]{32,36}$/);
  });

  it("uses the key of the call", async () => {
    const stage = new Stage();
    await sent(stage, { headers: { "Idempotency-Key": "mine" } });
    expect([...stage.server.keys]).toEqual(["mine"]);
  });

  it("keeps the query of the address and encodes the chat's id", async () => {
    const stage = new Stage({ api: "http://host/chat/?v=2#x" });
    stage.server.faults = [records(4, "error")];
    await drive(stage.clock, read(await stage.send({ chatId: "a/b?c" })));
    expect(stage.server.requests).toEqual([
      "POST http://host/chat/?v=2",
      "GET http://host/chat/a%2Fb%3Fc/stream?v=2",
    ]);
    const bare = new Stage({ api: "?v=2" });
    await sent(bare);
    expect(bare.server.requests).toEqual(["POST ?v=2"]);
  });

  it("fails with what the function for the body throws", async () => {
    const fault = new Error("no model chosen");
    const stage = new Stage({ body: () => Promise.reject(fault) });
    await expect(stage.sendAndRead()).rejects.toBe(fault);
    expect(stage.state).toMatchObject({ phase: "ended", error: fault });
    expect(stage.server.received).toEqual([]);
  });

  it("does not retry after a network failure of that function", async () => {
    const stage = new Stage({ body: () => Promise.reject(new TypeError("Failed to fetch")) });
    await expect(stage.sendAndRead()).rejects.toBeInstanceOf(TypeError);
  });

  it("fails with what the function for headers throws", async () => {
    const fault = new Error("signed out");
    const stage = new Stage({ headers: () => Promise.reject(fault) });
    await expect(stage.sendAndRead()).rejects.toBe(fault);
    await expect(stage.transport.stop("c1")).rejects.toBe(fault);
  });

  it("is retried after a network failure of a function for headers", async () => {
    let failures = 2;
    const headers = () => {
      if (failures-- > 0) throw new TypeError("Failed to fetch");
      return { authorization: "Bearer" };
    };
    const stage = new Stage({ headers });
    expect((await stage.sendAndRead()).at(-1)?.type).toBe("finish");
    expect(stage.server.received).toHaveLength(1);
    const failed = stage.states.find(({ error }) => error !== undefined);
    expect(failed?.error).toMatchObject({ kind: "network", cause: expect.any(TypeError) });
  });

  it("is retried when Node's fetch cannot connect", async () => {
    const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const stage = new Stage();
    stage.server.faults = [() => Promise.reject(new TypeError("fetch failed", { cause: refused }))];
    expect((await stage.sendAndRead()).at(-1)?.type).toBe("finish");
  });
});

describe("a key", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is made by the browser where it can", () => {
    vi.stubGlobal("crypto", { randomUUID: () => "made" });
    expect(newKey()).toBe("made");
  });

  it("is made of 16 random bytes where the page is not served securely", () => {
    const getRandomValues = (bytes: Uint8Array) => bytes.map((_, index) => index);
    vi.stubGlobal("crypto", { getRandomValues });
    expect(newKey()).toBe("000102030405060708090a0b0c0d0e0f");
  });
});
