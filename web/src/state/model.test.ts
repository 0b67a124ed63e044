import { afterEach, describe, expect, it, vi } from "vitest";
import { type Message, newId, reasoningOf, textOf } from "./model";

afterEach(() => vi.unstubAllGlobals());

describe("a message", () => {
  const message: Message = {
    id: "a1",
    role: "assistant",
    parts: [
      { type: "reasoning", text: "Hm." },
      { type: "text", text: "One " },
      { type: "reasoning", text: "So." },
      { type: "text", text: "two" },
    ],
  };

  it("has a text without reasoning, and separate reasoning parts", () => {
    expect([textOf(message), reasoningOf(message)]).toEqual(["One two", "Hm.\n\nSo."]);
  });
});

describe("an id", () => {
  it("is made by the browser where it can", () => {
    vi.stubGlobal("crypto", { randomUUID: () => "made" });
    expect(newId()).toBe("made");
  });

  it("is made of 16 random bytes where the page is not served securely", () => {
    const getRandomValues = (bytes: Uint8Array) => bytes.map((_, index) => index);
    vi.stubGlobal("crypto", { getRandomValues });
    expect(newId()).toBe("000102030405060708090a0b0c0d0e0f");
  });
});
