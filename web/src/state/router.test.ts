// @vitest-environment jsdom
import { beforeEach, describe, expect, it } from "vitest";
import { go, href, place, watchAddress } from "./router";

beforeEach(() => go(null, { replace: true }));

describe("addresses", () => {
  it("contain chat ids of any characters", () => {
    expect(href("a:b~c")).toBe("/c/a%3Ab~c");
    go("a:b~c");
    expect(location.pathname).toBe("/c/a%3Ab~c");
    expect(place.getState()).toEqual({ chat: "a:b~c", leaf: null });
  });

  it("contain the version that is shown", () => {
    go("c1", { leaf: "m2" });
    expect(location.pathname + location.search).toBe("/c/c1?leaf=m2");
    expect(place.getState()).toEqual({ chat: "c1", leaf: "m2" });
  });

  it("are history entries, once each, unless replaced", () => {
    const before = history.length;
    go("c1");
    expect(location.search).toBe("");
    go("c1", { leaf: "m2" });
    go("c1", { leaf: "m2" });
    expect(history.length).toBe(before + 2);
    go("c2", { replace: true });
    expect([history.length, location.pathname]).toEqual([before + 2, "/c/c2"]);
  });

  it("are read again on the back button", () => {
    watchAddress();
    history.replaceState(null, "", "/c/a%3Ab?leaf=m%201");
    dispatchEvent(new PopStateEvent("popstate"));
    expect(place.getState()).toEqual({ chat: "a:b", leaf: "m 1" });
    history.replaceState(null, "", "/c/%E0%A4%A");
    dispatchEvent(new PopStateEvent("popstate"));
    expect(place.getState().chat).toBe("%E0%A4%A");
    for (const path of ["/elsewhere", "/abc/c1"]) {
      history.replaceState(null, "", path);
      dispatchEvent(new PopStateEvent("popstate"));
      expect(place.getState().chat).toBeNull();
    }
  });
});
