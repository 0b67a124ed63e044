// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from "vitest";
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

  it("holds a message once, however often it is added", () => {
    addToOutbox(item("m1"));
    addToOutbox(item("m1"));
    expect(outbox.getState()).toHaveLength(1);
  });

  it("does not lose what another tab has added meanwhile", () => {
    addToOutbox(item("m1"));
    localStorage.setItem("dls:outbox:theirs", JSON.stringify({ ...item("theirs"), at: 1 }));
    addToOutbox(item("m2"));
    removeFromOutbox("m1");
    expect(outbox.getState().map(({ id }) => id)).toEqual(["theirs", "m2"]);
  });

  it("keeps why a message was refused, until it is tried again", () => {
    addToOutbox(item("m1"));
    setRefused("m1", "Too long.");
    expect(outboxOf("c1")[0]?.refused).toBe("Too long.");
    setRefused("m1", undefined);
    expect(outboxOf("c1")[0]?.refused).toBeUndefined();
  });

  it("passes over what is damaged", () => {
    localStorage.setItem("dls:outbox:x", '{"id":1}');
    for (const [name, text] of Object.entries({ y: "{", z: "7", n: "null" })) {
      localStorage.setItem(`dls:outbox:${name}`, text);
    }
    addToOutbox(item("m1"));
    expect(outbox.getState().map(({ id }) => id)).toEqual(["m1"]);
  });
});
