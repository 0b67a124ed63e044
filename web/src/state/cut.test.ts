import { describe, expect, it } from "vitest";
import { cutAttempt } from "./cut";
import type { Message } from "./model";

type Parts = Message["parts"];

const step: Parts[number] = { type: "step-start" };
const text = (words: string): Parts[number] => ({ type: "text", text: words });
const thought = (words: string): Parts[number] => ({ type: "reasoning", id: "r", text: words });
const file: Parts[number] = { type: "file", mediaType: "image/png", url: "data:image/png;base64,AA==" };
const answer = (...parts: Parts): Message => ({ id: "a1", role: "assistant", parts });

describe("the cut attempt", () => {
  it("is empty while the answer continues its text", () => {
    const before = answer(step, thought("Hm"), text("One "));
    const after = answer(step, thought("Hm, so"), text("One two"), file);
    expect(cutAttempt(before, after, null)).toBeNull();
    expect(cutAttempt(undefined, after, null)).toBeNull();
  });

  it("is the answer's old text when that was dropped or replaced", () => {
    const before = answer(step, text("One two"));
    expect(cutAttempt(before, answer(step), null)).toBe(before);
    expect(cutAttempt(before, answer(step, text("Two one, and much more")), null)).toBe(before);
    const withFile = answer(step, file);
    expect(cutAttempt(withFile, answer(step, text("T")), null)).toBe(withFile);
    expect(cutAttempt(withFile, answer(step), null)).toBe(withFile);
    const thoughts = answer(step, thought("Hm"));
    expect(cutAttempt(thoughts, answer(step, thought("So")), null)).toBe(thoughts);
  });

  it("stays while the new text grows", () => {
    const kept = answer(step, text("One two"));
    expect(cutAttempt(answer(step), answer(step, text("O")), kept)).toBe(kept);
    expect(cutAttempt(answer(step, text("O")), answer(step, text("On")), kept)).toBe(kept);
  });

  it("is the longer one when a second attempt is cut off too", () => {
    const first = answer(step, text("One two three"));
    const second = answer(step, text("Uno"));
    expect(cutAttempt(second, answer(step), first)).toBe(first);
    expect(cutAttempt(answer(step, text("Two two three")), answer(step), first)).toBe(first);
    const thoughtful = answer(step, thought("One, two, or three?"));
    expect(cutAttempt(second, answer(step), thoughtful)).toBe(thoughtful);
    const longer = answer(step, text("One two three four"));
    expect(cutAttempt(longer, answer(step), first)).toBe(longer);
  });

  it("is empty when the text turns out to be reasoning", () => {
    const before = answer(step, text("I should list facts."));
    const reset = answer(step);
    const moved = answer(step, thought("I should list facts."), text("One"));
    expect(cutAttempt(before, moved, null)).toBeNull();
    const thoughtful = answer(step, thought("Hm."), text("I should list facts."));
    expect(cutAttempt(thoughtful, moved, null)).toBeNull();
    expect(cutAttempt(reset, moved, cutAttempt(before, reset, null))).toBeNull();
  });

  it("is dropped with its answer", () => {
    const before = answer(step, text("One"));
    const question: Message = { id: "q2", role: "user", parts: [text("And?")] };
    expect(cutAttempt(before, question, before)).toBeNull();
    expect(cutAttempt(before, { ...answer(step), id: "a2" }, before)).toBeNull();
    expect(cutAttempt(before, undefined, before)).toBeNull();
    expect(cutAttempt(question, { ...question, parts: [] }, null)).toBeNull();
  });
});
