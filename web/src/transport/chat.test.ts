/** The AI SDK's own `Chat` on this transport, over a connection that is cut. */

import { Chat } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { describe, expect, it } from "vitest";
import type { Fault } from "./testing/server.js";
import { answer, records, refuse, unreachable } from "./testing/server.js";
import { CHAT, Stage } from "./testing/stage.js";
import { drive, until } from "./testing/world.js";

function talk(stage: Stage, messages: UIMessage[] = []) {
  const ends: { isError: boolean; isAbort: boolean; finishReason: unknown }[] = [];
  const chat = new Chat({
    id: CHAT,
    messages,
    transport: stage.transport,
    onFinish: ({ isError, isAbort, finishReason }) => ends.push({ isError, isAbort, finishReason }),
  });
  return { chat, ends };
}

const cuts = () => [records(3, "error"), unreachable, records(2, "end"), records(1, "hang")];
const FINE = { isError: false, isAbort: false, finishReason: "stop" };
const TEXT = "One two three four five six.";

async function answered(faults: Fault[], act: (chat: Chat<UIMessage>) => Promise<void>) {
  const stage = new Stage();
  stage.server.log = answer(TEXT);
  stage.server.faults = faults;
  const { chat, ends } = talk(stage);
  await drive(stage.clock, act(chat));
  return { stage, chat, ends };
}

describe("the AI SDK's chat", () => {
  it("shows the same with and without cuts", async () => {
    const send = (chat: Chat<UIMessage>) => chat.sendMessage({ id: "u1", role: "user", parts: [] });
    const whole = await answered([], send);
    const cut = await answered(cuts(), send);
    expect(cut.chat.messages).toEqual(whole.chat.messages);
    expect(cut.chat.messages.at(-1)).toMatchObject({
      id: "m1",
      role: "assistant",
      parts: [{ type: "step-start" }, { type: "text", text: TEXT, state: "done" }],
    });
    for (const { chat, ends } of [whole, cut]) {
      expect(chat.status).toBe("ready");
      expect(ends).toEqual([FINE]);
    }
    expect(cut.stage.state.resumes).toBe(3);
  });

  it("regenerates over cuts", async () => {
    const { stage, chat } = await answered([], (chat) => chat.sendMessage({ text: "Hi." }));
    stage.server.log = answer("Another answer.", "m2");
    stage.server.faults = cuts();
    await drive(stage.clock, chat.regenerate());
    expect(chat.status).toBe("ready");
    expect(chat.messages.map(({ id }) => id)).toEqual([expect.any(String), "m2"]);
    expect(chat.lastMessage?.parts.at(-1)).toMatchObject({ text: "Another answer." });
    expect(stage.server.keys.size).toBe(2);
  });

  it("edits over cuts", async () => {
    const { stage, chat } = await answered([], (chat) => chat.sendMessage({ text: "Hi." }));
    const [question] = chat.messages;
    stage.server.log = answer("An answer to that.", "m2");
    stage.server.faults = cuts();
    await drive(stage.clock, chat.sendMessage({ text: "Hello.", messageId: question?.id ?? "" }));
    expect(chat.status).toBe("ready");
    expect(chat.messages.map(({ parts }) => parts.at(-1))).toMatchObject([
      { text: "Hello." },
      { text: "An answer to that." },
    ]);
  });

  it("resumes over cuts without duplicates", async () => {
    const stage = new Stage();
    stage.server.log = answer(TEXT);
    stage.server.faults = [unreachable, ...cuts()];
    const part = { type: "text", text: "One two ", state: "streaming" } as const;
    const { chat } = talk(stage, [
      { id: "u1", role: "user", parts: [{ type: "text", text: "Hi." }] },
      { id: "m1", role: "assistant", parts: [part] },
    ]);
    await drive(stage.clock, chat.resumeStream());
    expect(chat.status).toBe("ready");
    expect(chat.messages).toHaveLength(2);
    expect(chat.messages[1]?.parts).toMatchObject([{ type: "step-start" }, { text: TEXT }]);
  });

  it("is ready at once when no run is active", async () => {
    const stage = new Stage();
    stage.server.active = false;
    const { chat, ends } = talk(stage);
    await chat.resumeStream();
    expect([chat.status, chat.messages, ends]).toEqual(["ready", [], []]);
  });

  it("is ready after its own stop, and can resume the run", async () => {
    const stage = new Stage();
    stage.server.log = answer(TEXT);
    stage.server.faults = [records(5, "hang")];
    const { chat, ends } = talk(stage);
    const sending = chat.sendMessage({ text: "Hi." });
    await until(() => chat.lastMessage?.role === "assistant");
    await Promise.all([chat.stop(), sending]);
    expect([chat.status, ends[0]?.isAbort]).toEqual(["ready", true]);
    expect(stage.state.phase).toBe("idle");
    await drive(stage.clock, chat.resumeStream());
    expect(chat.lastMessage?.parts.at(-1)).toMatchObject({ text: TEXT });
  });

  it("shows the message of a refusal", async () => {
    const refusal = refuse(409, { type: "urn:x:chat-busy", detail: "An answer is being written." });
    const { chat, ends } = await answered([refusal], (chat) => chat.sendMessage({ text: "Hi." }));
    expect(chat.status).toBe("error");
    expect(chat.error).toMatchObject({ kind: "busy", message: "An answer is being written." });
    expect(ends[0]).toMatchObject({ isError: true });
  });

  it("shows the message of a model failure", async () => {
    const stage = new Stage();
    stage.server.log = [...answer(TEXT).slice(0, 5), { type: "error", errorText: "Too busy." }];
    const { chat } = talk(stage);
    await drive(stage.clock, chat.sendMessage({ text: "Hi." }));
    expect([chat.status, chat.error?.message]).toEqual(["error", "Too busy."]);
    expect(stage.state).toMatchObject({ phase: "ended", error: undefined });
  });
});
