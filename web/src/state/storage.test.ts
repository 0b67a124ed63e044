// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { namesOf, onChangeElsewhere, read, readJson, storageTrouble, watchStorage, write } from "./storage";

beforeEach(() => {
  localStorage.clear();
  storageTrouble.setState(null, true);
});
afterEach(() => vi.restoreAllMocks());

function refuse(name: string): void {
  const error = new DOMException("no", name);
  vi.spyOn(Storage.prototype, "setItem").mockImplementation(() => {
    throw error;
  });
}

describe("a stored value", () => {
  it("is written under a prefix and removed by null", () => {
    expect(write("a", "1")).toBe(true);
    expect(localStorage.getItem("dls:a")).toBe("1");
    write("a", null);
    expect(read("a")).toBeNull();
    expect(localStorage.length).toBe(0);
  });

  it.each([
    ["QuotaExceededError", "full"],
    ["SecurityError", "forbidden"],
  ])("is kept in memory after a %s, and this is reported", (name, trouble) => {
    refuse(name);
    expect(write("b", "2")).toBe(false);
    expect(read("b")).toBe("2");
    expect(storageTrouble.getState()).toBe(trouble);
  });

  it("is stored again when there is room again", () => {
    refuse("QuotaExceededError");
    write("c", "3");
    vi.restoreAllMocks();
    expect(write("c", "4")).toBe(true);
    expect(storageTrouble.getState()).toBeNull();
    expect(localStorage.getItem("dls:c")).toBe("4");
    expect(localStorage.getItem("dls:b")).toBe("2"); // the value that was in memory only
  });

  it("is absent when even reading is forbidden", () => {
    vi.spyOn(Storage.prototype, "getItem").mockImplementation(() => {
      throw new DOMException("no", "SecurityError");
    });
    expect(read("d")).toBeNull();
    expect(storageTrouble.getState()).toBe("forbidden");
  });

  it("is listed from memory alone when storage is forbidden", () => {
    refuse("SecurityError");
    write("draft:a", "1");
    vi.spyOn(Storage.prototype, "key").mockImplementation(() => {
      throw new DOMException("no", "SecurityError");
    });
    localStorage["dls:draft:b"] = "2";
    storageTrouble.setState(null, true);
    expect([namesOf("draft:"), storageTrouble.getState()]).toEqual([["draft:a"], "forbidden"]);
  });

  it("is removed from memory, too", () => {
    refuse("SecurityError");
    write("g", "1");
    vi.spyOn(Storage.prototype, "removeItem").mockImplementation(() => {
      throw new DOMException("no", "SecurityError");
    });
    expect([read("g"), write("g", null), read("g")]).toEqual(["1", false, null]);
    expect(namesOf("g")).toEqual([]);
  });

  it("is listed by its prefix, within this instance", () => {
    for (const key of ["h:1", "h:2", "x:3"]) write(key, "x");
    localStorage.setItem("xyz:h:4", "another page's");
    expect(namesOf("h:")).toEqual(["h:1", "h:2"]);
  });

  it("is absent when it is damaged or of another shape", () => {
    const isText = (value: unknown): value is string => typeof value === "string";
    write("e", "{");
    expect(readJson("e", isText)).toBeNull();
    write("e", "7");
    expect(readJson("e", isText)).toBeNull();
    write("e", '"x"');
    expect(readJson("e", isText)).toBe("x");
  });

  it("notifies subscribers when another tab changes it", () => {
    watchStorage();
    const changes: string[] = [];
    const stop = onChangeElsewhere("f", () => changes.push("f"));
    dispatchEvent(new StorageEvent("storage", { key: "dls:f" }));
    dispatchEvent(new StorageEvent("storage", { key: "dls:g" }));
    dispatchEvent(new StorageEvent("storage", { key: null }));
    expect(changes).toEqual(["f", "f"]);
    stop();
    dispatchEvent(new StorageEvent("storage", { key: "dls:f" }));
    expect(changes).toHaveLength(2);
  });
});
