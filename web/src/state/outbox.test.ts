// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  addToOutbox,
  outbox,
  outboxOf,
  removeChatFromOutbox,
  removeFromOutbox,
  setRefused,
} from "./outbox";

beforeEach(() => {
  localStorage.clear();
  removeChatFromOutbox("c1");
});

afterEach(() => vi.restoreAllMocks());

const item = (id: string, chat = "c1") => ({ id, chat, text: `text of ${id}` });

describe("the outbox", () => {
  it("keeps messages in the order in which they were written, in storage", () => {
    addToOutbox(item("m1"));
    addToOutbox(item("m2", "c2"));
    addToOutbox(item("m3"));
    expect(outboxOf("c1").map(({ id }) => id)).toEqual(["m1", "m3"]);
    expect(outbox.getState().map(({ id }) => id)).toEqual(["m1", "m2", "m3"]);
    expect(localStorage.getItem("dls:outbox:m2")).toContain("text of m2");
  });

  it("keeps the order at equal times, and after the clock went back", () => {
    vi.spyOn(Date, "now").mockReturnValueOnce(1_000).mockReturnValueOnce(1_000).mockReturnValue(500);
    for (const id of ["m1", "m2", "m3"]) addToOutbox(item(id));
    expect(outbox.getState().map(({ at }) => at)).toEqual([1_000, 1_001, 1_002]);
  });

  it("is empty for a deleted chat, and ignores unknown messages", () => {
    for (const id of ["m1", "m2"]) addToOutbox(item(id));
    addToOutbox(item("other", "c2"));
    removeChatFromOutbox("c1");
    setRefused("m1", "Too long.");
    expect([outbox.getState().map(({ id }) => id), localStorage.length]).toEqual([["other"], 1]);
  });

  it("holds a message once, however often it is added", () => {
    addToOutbox(item("m1"));
    addToOutbox(item("m1"));
    expect(outbox.getState()).toHaveLength(1);
  });

  it("does not lose a message that another tab has added", () => {
    addToOutbox(item("m1"));
    localStorage.setItem("dls:outbox:theirs", JSON.stringify({ ...item("theirs"), at: 1 }));
    addToOutbox(item("m2"));
    expect(outbox.getState().map(({ id }) => id)).toEqual(["theirs", "m1", "m2"]);
    removeFromOutbox("m1");
    expect(outbox.getState().map(({ id }) => id)).toEqual(["theirs", "m2"]);
  });

  it("keeps the reason of a refusal until the retry", () => {
    addToOutbox(item("m1"));
    setRefused("m1", "Too long.");
    expect(outboxOf("c1")[0]?.refused).toBe("Too long.");
    setRefused("m1", undefined);
    expect(outboxOf("c1")[0]?.refused).toBeUndefined();
  });

  it("skips damaged entries", () => {
    const whole = { ...item("x"), at: 1 };
    const fields = Object.keys(whole).map((field) => JSON.stringify({ ...whole, [field]: true }));
    for (const [name, text] of ["{", "7", "null", ...fields].entries()) {
      localStorage.setItem(`dls:outbox:${name}`, text);
    }
    addToOutbox(item("m1"));
    expect(outbox.getState().map(({ id }) => id)).toEqual(["m1"]);
  });
});
