import { describe, expect, it } from "vitest";
import { EventDecoder, EventTooLarge, type ServerEvent } from "./events.js";
import { encode } from "./testing/server.js";

function decodeAll(text: string | Uint8Array, size = Number.POSITIVE_INFINITY): ServerEvent[] {
  const bytes = typeof text === "string" ? encode(text) : text;
  const decoder = new EventDecoder();
  const events: ServerEvent[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    events.push(...decoder.feed(bytes.subarray(at, at + size)));
  }
  return events;
}

const event = (data: string, id?: string, type = "message") => ({ id, type, data });

const EXAMPLE = [
  ": a comment",
  "",
  "id: 7",
  'data: {"text":"héllo 👋🏽 世界 \u2028 \u0085"}',
  "",
  "data: first",
  "data:second",
  "data",
  "data:  two spaces",
  "",
  "event: ping",
  "data: named",
  "",
  "id",
  "data: an empty id",
  "",
  "unknown: field",
  "data: last",
  "",
  "",
].join("\n");

const DECODED = [
  event('{"text":"héllo 👋🏽 世界 \u2028 \u0085"}', "7"),
  event("first\nsecond\n\n two spaces"),
  event("named", undefined, "ping"),
  event("an empty id"),
  event("last"),
];

describe("the event decoder", () => {
  it("reads ids, types, comments and data of several lines", () => {
    expect(decodeAll(EXAMPLE)).toEqual(DECODED);
  });

  it.each([["\r\n"], ["\r"], ["\n"]])("reads lines that end with %j, split anywhere", (end) => {
    const text = EXAMPLE.replaceAll("\n", end);
    for (const size of [1, 2, 3, 5, 7, 64]) expect(decodeAll(text, size)).toEqual(DECODED);
  });

  it("reads the same events wherever the bytes are split", () => {
    const bytes = encode(EXAMPLE.replaceAll("\n", "\r\n"));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const decoder = new EventDecoder();
      const first = decoder.feed(bytes.subarray(0, cut));
      const events = [...first, ...decoder.feed(bytes.subarray(cut))];
      expect(events, `cut at ${cut}`).toEqual(DECODED);
    }
  });

  it("reads line ends of several kinds in one stream", () => {
    const events = decodeAll("data: a\r\rdata: b\n\r\ndata: c\r\n\n");
    expect(events).toEqual([event("a"), event("b"), event("c")]);
  });

  it("drops one byte order mark, at the start only", () => {
    expect(decodeAll("\uFEFFdata: a\n\n\uFEFFdata: b\n\ndata: \uFEFFc\n\n", 1)).toEqual([
      event("a"),
      event("\uFEFFc"),
    ]);
  });

  it("does not inherit the id of the previous event", () => {
    expect(decodeAll("id: 1\ndata: a\n\ndata: b\n\n")).toEqual([event("a", "1"), event("b")]);
  });

  it("forgets the id and type of an event without data", () => {
    expect(decodeAll("id: 1\nevent: x\n\ndata: b\n\n")).toEqual([event("b")]);
  });

  it("ignores an id with a NUL", () => {
    expect(decodeAll("id: 1\0\ndata: a\n\n")).toEqual([event("a")]);
  });

  it("holds back an incomplete event", () => {
    expect(decodeAll("data: a\n\ndata: b\n")).toEqual([event("a")]);
  });

  it("replaces bytes that are not UTF-8", () => {
    const bytes = new Uint8Array([...encode("data: "), 0xff, ...encode("\n\n")]);
    expect(decodeAll(bytes, 1)).toEqual([event("\uFFFD")]);
  });

  it("keeps the delay that the server asks for, if it is a number", () => {
    const decoder = new EventDecoder();
    expect(decoder.retryMs).toBeUndefined();
    decoder.feed(encode("unknown: 7\n\n"));
    expect(decoder.retryMs).toBeUndefined();
    decoder.feed(encode("retry: 1500\n\nretry: soon\nretry: -1\nretry: 99999999999\nretry:\n"));
    expect(decoder.retryMs).toBe(1500);
  });

  it("accepts an event of 16 MiB in many pieces, but no larger one", () => {
    const piece = encode("x".repeat(1024 * 1024));
    const decoder = new EventDecoder();
    decoder.feed(encode("data: "));
    for (let i = 0; i < 15; i += 1) decoder.feed(piece);
    expect(decoder.feed(encode("\n\n"))[0]?.data).toHaveLength(15 * 1024 * 1024);
    const feedMany = () => {
      for (let i = 0; i < 17; i += 1) decoder.feed(piece);
    };
    expect(feedMany).toThrow(EventTooLarge);
  });

  it.each([
    ["one line", `data: ${"x".repeat(200)}\n\n`],
    ["several lines", `data: ${"x".repeat(40)}\n`.repeat(3)],
    ["many empty lines", "data:\n".repeat(200)],
  ])("bounds an event of %s", (_, text) => {
    expect(() => new EventDecoder(100).feed(encode(text))).toThrow("more than 100 characters");
  });

  it("reads a line end that is split, with an empty piece between", () => {
    const decoder = new EventDecoder();
    const pieces = ["data: a\r", "", "\ndata: b\n\n"].map(encode);
    expect(pieces.flatMap((piece) => decoder.feed(piece))).toEqual([event("a\nb")]);
  });

  it("counts the size of each event separately", () => {
    const decoder = new EventDecoder(100);
    const one = encode(`data: ${"x".repeat(60)}\n\n`);
    for (let i = 0; i < 5; i += 1) expect(decoder.feed(one)).toHaveLength(1);
  });
});
