import type { UIMessageChunk } from "ai";
import { uiMessageChunkSchema } from "ai";
import { describe, expect, it } from "vitest";
import { InvalidChunk, isTerminal, joined, parseChunk } from "./chunks.js";

const parse = (chunk: object) => parseChunk(JSON.stringify(chunk));

/** One of each type, with the fields that it must have. */
const CHUNKS: UIMessageChunk[] = [
  { type: "start" },
  { type: "start-step" },
  { type: "finish-step" },
  { type: "reset-step" },
  { type: "text-start", id: "p" },
  { type: "text-delta", id: "p", delta: "" },
  { type: "text-end", id: "p" },
  { type: "reasoning-start", id: "p" },
  { type: "reasoning-delta", id: "p", delta: "" },
  { type: "reasoning-end", id: "p" },
  { type: "reasoning-file", url: "u", mediaType: "m" },
  { type: "file", url: "u", mediaType: "m" },
  { type: "source-url", sourceId: "s", url: "u" },
  { type: "source-document", sourceId: "s", mediaType: "m", title: "t" },
  { type: "custom", kind: "a.b" },
  { type: "data-run", data: { event: "takeover" }, transient: true },
  { type: "tool-input-start", toolCallId: "c", toolName: "n" },
  { type: "tool-input-delta", toolCallId: "c", inputTextDelta: "" },
  { type: "tool-input-available", toolCallId: "c", toolName: "n", input: 1 },
  { type: "tool-input-error", toolCallId: "c", toolName: "n", input: 1, errorText: "e" },
  { type: "tool-approval-request", approvalId: "a", toolCallId: "c" },
  { type: "tool-approval-response", approvalId: "a", approved: true },
  { type: "tool-output-available", toolCallId: "c", output: null },
  { type: "tool-output-error", toolCallId: "c", errorText: "e" },
  { type: "tool-output-denied", toolCallId: "c" },
  { type: "steering-message", id: "s", parts: [] },
  { type: "message-metadata", messageMetadata: {} },
  { type: "finish" },
  { type: "abort" },
  { type: "error", errorText: "e" },
];

describe("chunks", () => {
  it.each(CHUNKS)("takes $type as AI SDK 7 does", async (chunk) => {
    expect(parse(chunk)).toEqual(chunk);
    const schema = uiMessageChunkSchema();
    expect(await schema.validate?.(chunk)).toMatchObject({ success: true });
  });

  it("keeps unknown fields", () => {
    expect(parse({ type: "finish", later: 1 })).toEqual({ type: "finish", later: 1 });
  });

  it("accepts an unknown type without checking its fields", () => {
    expect(parse({ type: "hologram", delta: 1 })).toBeUndefined();
    expect(parse({ type: "constructor" })).toBeUndefined();
  });

  it.each(["", "{", "null", "7", '"finish"', "[]", "{}", '{"type":7}'])("refuses %j", (data) => {
    expect(() => parseChunk(data)).toThrow(InvalidChunk);
  });

  it("distinguishes invalid JSON from JSON that is not a chunk", () => {
    const reason = (data: string): unknown => {
      try {
        return parseChunk(data);
      } catch (error) {
        return error;
      }
    };
    const [name, cause] = ["InvalidChunk", expect.any(SyntaxError)];
    const noJson = { name, message: "The data of an event is not JSON.", cause };
    expect(reason("{")).toMatchObject(noJson);
    expect(reason("7")).toMatchObject({ name, message: "The data of an event is not a chunk." });
  });

  it("refuses a chunk without a field that AI SDK 7 requires", () => {
    expect(() => parse({ type: "text-delta", id: "p" })).toThrow("text-delta has no delta");
    expect(() => parse({ type: "error", errorText: null })).toThrow(InvalidChunk);
  });

  it.each(CHUNKS)("requires of $type the strings that AI SDK 7 requires", async (chunk) => {
    const schema = uiMessageChunkSchema();
    for (const [name, value] of Object.entries(chunk)) {
      if (name === "type" || typeof value !== "string") continue;
      const without = { ...chunk, [name]: undefined };
      const isTaken = (await schema.validate?.(without))?.success;
      const read = () => parse(without);
      if (isTaken) expect(read(), name).toBeDefined();
      else expect(read, name).toThrow(`A chunk of type ${chunk.type} has no ${name}.`);
    }
  });

  it("recognises the three terminal chunks", () => {
    const ends = CHUNKS.filter(isTerminal).map(({ type }) => type);
    expect(ends).toEqual(["finish", "abort", "error"]);
  });
});

describe("joining", () => {
  const text = (delta: string, id = "p"): UIMessageChunk => ({ type: "text-delta", id, delta });
  const thought = (delta: string): UIMessageChunk => ({ type: "reasoning-delta", id: "p", delta });
  const input = (inputTextDelta: string, toolCallId = "c"): UIMessageChunk => ({
    type: "tool-input-delta",
    toolCallId,
    inputTextDelta,
  });

  it("makes one delta of two of the same part", () => {
    expect(joined(text("a"), text("b"))).toEqual(text("ab"));
    expect(joined(thought("a"), thought("b"))).toEqual(thought("ab"));
    expect(joined(input("{"), input("}"))).toEqual(input("{}"));
  });

  it("leaves deltas of different parts alone", () => {
    expect(joined(text("a"), text("b", "q"))).toBeUndefined();
    expect(joined(text("a"), thought("b"))).toBeUndefined();
    expect(joined(thought("a"), text("b"))).toBeUndefined();
    expect(joined(thought("a"), { ...thought("b"), id: "q" } as UIMessageChunk)).toBeUndefined();
    expect(joined(input("{"), input("}", "d"))).toBeUndefined();
    expect(joined({ type: "text-end", id: "p" }, text("a"))).toBeUndefined();
  });

  it("leaves deltas with metadata alone", () => {
    const marked = { ...text("b"), providerMetadata: { p: { k: 1 } } } as UIMessageChunk;
    expect(joined(text("a"), marked)).toBeUndefined();
    expect(joined(marked, text("c"))).toBeUndefined();
  });

  it("leaves transient data alone, whatever its name", () => {
    const data: UIMessageChunk = { type: "data-a-delta", id: "p", data: 1 };
    expect(joined(data, data)).toBeUndefined();
  });
});
