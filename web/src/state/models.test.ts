// @vitest-environment jsdom
/** The chosen model and the drafts of this browser. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { readDraft, writeDraft } from "./drafts";
import { chooseModel, currentModel, models } from "./models";

beforeEach(() => localStorage.clear());

describe("the model", () => {
  const offered = ["a", "b"].map((id) => ({ id, name: id, demo: false }));

  it.each([
    ["the chosen one", offered, "b", "b"],
    ["the server's first where none is chosen", offered, null, "a"],
    ["the server's first where the chosen one is gone", offered, "x", "a"],
    ["unknown while nothing is", [], "a", undefined],
  ])("is %s", (_, list, chosen, expected) => {
    expect(currentModel({ offered: list, chosen })?.id).toBe(expected);
  });

  it("stays chosen at the next visit", async () => {
    chooseModel("b");
    expect([models.getState().chosen, models.getState().offered]).toEqual(["b", []]);
    vi.resetModules();
    const again = await import("./models");
    expect(again.models.getState()).toEqual({ offered: [], chosen: "b" });
  });
});

describe("a draft", () => {
  it("is kept for its chat, until it is empty", () => {
    expect(readDraft("c1")).toBe("");
    writeDraft("c1", "Half a th");
    expect([readDraft("c1"), readDraft("new")]).toEqual(["Half a th", ""]);
    writeDraft("c1", "");
    expect([readDraft("c1"), localStorage.getItem("dls:draft:c1")]).toEqual(["", null]);
  });
});
