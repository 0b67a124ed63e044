import { describe, expect, it } from "vitest";
import type { Version } from "./model";
import { Versions } from "./versions";

const TREE: Version[] = [
  { id: "q1", parent: null, role: "user" },
  { id: "a1", parent: "q1", role: "assistant" },
  { id: "a1b", parent: "q1", role: "assistant" },
  { id: "q1b", parent: null, role: "user" },
  { id: "q2", parent: "a1b", role: "user" },
  { id: "q3", parent: "a1", role: "user" },
];

describe("versions", () => {
  it("are messages of one role with one parent, oldest first", () => {
    const versions = new Versions(TREE);
    expect(versions.placeOf("a1b")).toEqual({ index: 1, ids: ["a1", "a1b"] });
    expect(versions.placeOf("q1")).toEqual({ index: 0, ids: ["q1", "q1b"] });
    for (const id of ["q2", "q3"]) expect(versions.placeOf(id)).toEqual({ index: 0, ids: [id] });
  });

  it("are null for a message that is not on the server yet", () => {
    expect(new Versions(TREE).placeOf("q4")).toBeNull();
  });

  it("are the same objects each time, to avoid needless renders", () => {
    const versions = new Versions(TREE);
    expect(versions.placeOf("a1")).toBe(versions.placeOf("a1"));
  });

  it("accept new ones and are the same object when there are none", () => {
    const versions = new Versions(TREE);
    expect(versions.with({ id: "a1", parent: "q1", role: "assistant" })).toBe(versions);
    const more = versions.with({ id: "a1c", parent: "q1", role: "assistant" });
    expect(more.placeOf("a1c")).toEqual({ index: 2, ids: ["a1", "a1b", "a1c"] });
    expect(versions.has("a1c")).toBe(false);
  });
});
